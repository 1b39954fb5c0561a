"""Building a model in a process of its own, which a compiler that crashes may bring down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autotune.deployment.compilation import compile
from autotune.deployment.coverage import Coverage
from autotune.models.dynamic_model import DynamicModel, import_variants
from autotune.models.isolation import failing_node
from autotune.models.model import Model, load_model
from autotune.models.shape_plan import ShapePlan
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.room import require_storage
from search_spaces import AutotuneError, Misuse, Target
from search_spaces.errors import last_line
from tuning_logs import DeviceFingerprint, TuningLog, read_log

T = TypeVar("T")

_TIMEOUT_SECS = 1800.0


@dataclass(frozen=True)
class BuildRequest:
    """A build of a model, and the library's path.

    log:    whose schedules it takes, None for the default ones;
    linker: a C compiler driver for the target, None where it is this machine's;
    plan:   of a model with dynamic axes, whose largest shapes `shapes` are.
    """

    model: Path
    shapes: Mapping[str, tuple[int, ...]]
    target: Target
    device: DeviceFingerprint
    log: str | None
    library: Path
    linker: str | None = None
    plan: ShapePlan | None = None


@dataclass(frozen=True)
class BuildResult:
    """A build that was saved: what it uses for each operator, and seconds by step, in order.

    runtime_packs: how many weights are packed anew in every run.
    """

    coverage: Coverage
    secs: Mapping[str, float]
    runtime_packs: int = 0


def build_apart(request: BuildRequest, server: ForkServer | None = None) -> BuildResult:
    """Builds in a new process. server: forks it; by default one of its own.

    Raises Misuse, with the node of the model's file, where the model cannot be built, StorageError where the library
    cannot be written or the log cannot be read, and AutotuneError where there is no linker or the process does not live
    to say so.
    """
    with lasting_worker(WorkerNeeds(__name__), server) as pool:
        [reply] = pool.map([(Call(_build, (request,)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        require_storage(reply.message, request.library.parent)
        raise AutotuneError(f"expected {request.model.name} to build, found {reply.message}", code="AT703")
    if isinstance(reply.value, AutotuneError):
        raise reply.value
    result: BuildResult = reply.value
    return result


def _build(request: BuildRequest) -> BuildResult | AutotuneError:
    secs: dict[str, float] = {}
    try:
        model = _timed(secs, "import", lambda: _imported(request))
        log = TuningLog.in_memory() if request.log is None else read_log(request.log)
        try:
            built = _timed(
                secs,
                "build",
                lambda: compile(model, request.target, log, request.device, linker=request.linker),
            )
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            static = model.largest if isinstance(model, DynamicModel) else model
            raise _refusal(static, request.target, error) from error
        _timed(secs, "link", lambda: built.save(request.library, request.linker))
    except AutotuneError as error:
        return error
    return BuildResult(built.coverage, secs, built.runtime_packs)


def _imported(request: BuildRequest) -> Model | DynamicModel:
    if request.plan is not None:
        return import_variants(request.model, request.plan)
    return load_model(request.model, request.shapes)


def _refusal(model: Model, target: Target, error: Exception) -> Misuse:
    """The error with the node that does not build alone."""
    found = failing_node(model, lambda module: compile(module, target, TuningLog.in_memory()))
    node, cause = found or (None, error)
    return model.origins.refusal(node, f"it does not build: {last_line(cause)}")


def _timed(secs: dict[str, float], step: str, call: Callable[[], T]) -> T:
    started = time.monotonic()
    try:
        return call()
    finally:
        secs[step] = time.monotonic() - started
