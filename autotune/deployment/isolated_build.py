"""Building a model for a job in a process of its own, which a compiler that crashes may bring down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autotune.deployment.compilation import compile
from autotune.deployment.coverage import Coverage
from autotune.models.model import load_model
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from search_spaces import AutotuneError, Target
from tuning_logs import DeviceFingerprint, read_log

_TIMEOUT_SECS = 1800.0


@dataclass(frozen=True)
class BuildRequest:
    """A build of a model with a log, and the library's path.

    linker: a C compiler driver for the target, None where it is this machine's.
    """

    model: Path
    shapes: Mapping[str, tuple[int, ...]]
    target: Target
    device: DeviceFingerprint
    log: str
    library: Path
    linker: str | None = None


def build_apart(request: BuildRequest) -> Coverage:
    """Builds in a new process; what the build uses for each operator.

    Raises AutotuneError where it does not build.
    """
    with lasting_worker(WorkerNeeds(__name__)) as pool:
        [reply] = pool.map([(Call(_build, (request,)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected {request.model.name} to build, found {reply.message}", code="AT703")
    coverage: Coverage = reply.value
    return coverage


def _build(request: BuildRequest) -> Coverage:
    model = load_model(request.model, request.shapes)
    built = compile(model, request.target, read_log(request.log), request.device, linker=request.linker)
    built.save(request.library, request.linker)
    return built.coverage
