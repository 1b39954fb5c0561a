"""Preflight of a model: built and run once, and held against its reference, before time is spent on it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from autotune.deployment.coverage import Coverage
from autotune.deployment.culprit import find_culprit
from autotune.deployment.executable import SavedModel
from autotune.deployment.isolated_build import BuildRequest, build_apart
from autotune.deployment.judgement import SavedBuild, judge_build
from autotune.deployment.model_runner import SEED
from autotune.deployment.referee import Referee, Verdict
from autotune.deployment.samples import Sample, read_samples
from autotune.deployment.side_by_side import EngineLatency, TimingSettings, TrialRun, trial_run
from autotune.devices.device import Device, local_device
from autotune.models.model import Model, read_inputs
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import InputSpec, Shape, read
from autotune.models.origin import Origins, origins_of, with_named_nodes
from autotune.workers.fork_server import ForkServer
from autotune.workers.room import scratch_folder
from search_spaces.errors import AutotuneError, Misuse

# One short round: the outputs count, the latency is a first look.
_ROUND_SECS = 0.05
# Codes of errors with which the process that builds or runs a model ends.
_FAULTS_OF_MODELS = ("AT703", "AT704")


@dataclass(frozen=True)
class Preflight:
    """A model that was built, run once on each draw of inputs, and found to compute what its reference computes.

    build_secs:       of importing, building and linking;
    referee, verdict: None where the reference does not run the model, for the reason in `notices`;
    secs:             by step, in order.
    """

    coverage: Coverage
    latency: EngineLatency
    inputs: tuple[InputSpec, ...]
    build_secs: float
    referee: Referee | None
    verdict: Verdict | None
    secs: Mapping[str, float]
    notices: tuple[str, ...] = ()


@dataclass
class _Steps:
    """A stopwatch over steps, one after the other."""

    secs: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def end(self, step: str) -> None:
        """Notes the time since the last step."""
        now = time.monotonic()
        self.secs[step], self.since = now - self.since, now


def preflight(
    request: BuildRequest,
    threads: int,
    server: ForkServer | None = None,
    samples: Sequence[str | Path] = (),
) -> Preflight:
    """Builds a model for this machine, runs it, and compares its outputs with those of its reference.

    samples: files of inputs to compare them on as well, see `autotune.deployment.samples.read_samples`;
    server: forks the processes that do; by default one of each.
    Raises Misuse, with the node of the model's file where one fails alone, for a model that does not build, does not
    run, or computes something else, and AutotuneError where something else is to blame, as a log or a linker.
    """
    steps = _Steps()
    specs = read_inputs(request.model, request.shapes)
    given = read_samples(samples, specs)
    with _blaming_the_model(request, server):
        built = build_apart(request, server)
    steps.secs.update(built.secs)
    steps.end("start processes")
    steps.secs["start processes"] -= sum(built.secs.values())
    settings = TimingSettings(specs, threads, 1, _ROUND_SECS, SEED)
    tried = _trial(request, settings, server, given)
    steps.end("run")
    build = SavedBuild(request.model, request.shapes, request.library, request.plan)
    judged = judge_build(build, tried.outputs, settings, server, given)
    if judged.verdict is not None and judged.verdict.mistake is not None:
        raise _blamed(request, server, f"the build computes something else: {judged.verdict.mistake}")
    if judged.size_mistake is not None:
        raise _origins(request).refusal("", f"the build computes something else {judged.size_mistake}")
    steps.end("compare")
    return Preflight(
        built.coverage,
        tried.latency,
        specs,
        sum(built.secs.values()),
        judged.referee,
        judged.verdict,
        steps.secs,
        judged.notices,
    )


def check(
    model: Model,
    device: Device | None = None,
    server: ForkServer | None = None,
    samples: Sequence[str | Path] = (),
) -> Preflight:
    """The preflight of a model with default schedules: built, run on this machine, and held against its reference.

    device: built for as well, where it is another machine's; by default this one. server: forks the processes that do;
    by default one of each. samples: .npz and .npy files of inputs, or folders of them, that outputs are compared on
    beside random ones. Raises Misuse as `preflight` does, and for samples that are not the model's.

    >>> autotune.check(autotune.load_model("squeezenet.onnx")).verdict.mistake  # doctest: +SKIP
    """
    return check_file(model.path, model.shapes, device, server, samples)


def check_file(
    path: Path,
    shapes: Mapping[str, Shape],
    device: Device | None = None,
    server: ForkServer | None = None,
    samples: Sequence[str | Path] = (),
) -> Preflight:
    """As `check`, of a file with fixed shapes, which only the building process imports."""
    is_here = device is None or (device.is_here and not device.target.is_gpu)
    here = device if device is not None and is_here else local_device()
    with scratch_folder("autotune-check-") as scratch:
        library = Path(scratch) / "model.so"
        request = BuildRequest(path, shapes, here.target, here.fingerprint, None, library)
        found = preflight(request, here.threads, server, samples)
        if device is None or is_here or device.target.is_gpu:
            return found
        elsewhere = replace(
            request, target=device.target, device=device.fingerprint, linker=device.linker, library=library
        )
        built = build_apart(elsewhere, server)
        return replace(found, secs={**found.secs, f"build for {device.name}": sum(built.secs.values())})


def _trial(
    request: BuildRequest, settings: TimingSettings, server: ForkServer | None, samples: tuple[Sample, ...]
) -> TrialRun:
    with _blaming_the_model(request, server):
        engine = SavedModel(request.library.absolute(), request.model.stem, settings.threads)
        return trial_run(engine, settings, server, samples)


@contextmanager
def _blaming_the_model(request: BuildRequest, server: ForkServer | None) -> Iterator[None]:
    """Turns the end of the process that builds or runs a model into an error that names the node to blame."""
    try:
        yield
    except AutotuneError as error:
        if error.code not in _FAULTS_OF_MODELS:
            raise
        raise _blamed(request, server, str(error)) from error


def _blamed(request: BuildRequest, server: ForkServer | None, reason: str) -> Misuse:
    """The error of a model that fails as a whole, with the node that fails alone."""
    if format_of(request.model) is not ModelFormat.ONNX:
        return Misuse(f"cannot use {request.model.name}: {reason}", code="AT106")
    origins = _origins(request)
    culprit = find_culprit(request.model, request.shapes, request.target, server)
    if culprit is None:
        return origins.refusal("", f"{reason}; each of its nodes is right alone")
    return origins.refusal(culprit.node, culprit.reason)


def _origins(request: BuildRequest) -> Origins:
    """The nodes of an ONNX file, for errors."""
    return origins_of(with_named_nodes(read(request.model, request.shapes)), request.model.name)
