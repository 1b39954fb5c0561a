"""Engines compared on models and devices: each in a process of its own, in turns, judged by one referee."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from autotune.comparison.contest import ContestSettings, EngineRun, contest
from autotune.comparison.entrants import Entrant, check_names, default_engines, enter
from autotune.comparison.percentiles import measured
from autotune.comparison.result import BuildSummary, ComparedDevice, ComparedModel, Comparison, Measured, Row
from autotune.comparison.subject import ModelFile, Subject, read_subjects
from autotune.deployment.board_model import BoardModelRunner
from autotune.deployment.executable import SavedModel
from autotune.deployment.isolated_build import BuildResult
from autotune.deployment.model_runner import SEED
from autotune.deployment.referee import Referee
from autotune.deployment.reference import referee_or_notice
from autotune.deployment.side_by_side import EngineProcess, TimingSettings, engine_process
from autotune.devices.connection import Rpc, distinct_name
from autotune.devices.device import Device, local_device
from autotune.devices.device_url import parse_device
from search_spaces.errors import Misuse


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """The settings of a comparison: rounds of round_secs for each engine, fewer for slow ones, and the time limit of
    one call of an engine, after which it counts as hanging."""

    rounds: int = 10
    round_secs: float = 0.2
    timeout_secs: float = 600.0

    @property
    def contest(self) -> ContestSettings:
        """The settings of the turns."""
        return ContestSettings(self.rounds, self.round_secs, self.timeout_secs)


@dataclass(frozen=True, slots=True)
class PairResult:
    """All engines with one model on one device. builds: by this package, by the name of the engine."""

    model: ComparedModel
    device: ComparedDevice
    rows: tuple[Row, ...]
    builds: Mapping[str, BuildResult]


@dataclass(frozen=True)
class _Pair:
    """A model and a device, and how engines are judged and timed there."""

    subject: Subject
    device: Device
    referee: Referee | None
    settings: ContestSettings


def compare(
    models: Sequence[str | Path | ModelFile],
    devices: Sequence[str | Device] = ("local",),
    engines: Sequence[str] = (),
    log: str | None = None,
    settings: ComparisonSettings | None = None,
) -> Comparison:
    """Compares engines on models and devices; an engine that fails has a row with the reason, and ends nothing.

    devices: URLs, see `autotune.parse_device`, or devices; engines: by default all that are known for a model's
    format; "autotune" is a build with the schedules of the log, "untuned" one with default schedules.
    Raises Misuse, before anything runs, for files that are no models and for names that are not known, AutotuneError
    for a device that cannot be reached, StorageError for a log that cannot be read.

    >>> autotune.compare(["squeezenet.onnx"], log="squeezenet.jsonl")  # doctest: +SKIP
    """
    return collect(list(compare_each(models, devices, engines, log, settings)), log)


def compare_each(
    models: Sequence[str | Path | ModelFile],
    devices: Sequence[str | Device],
    engines: Sequence[str],
    log: str | None,
    settings: ComparisonSettings | None,
) -> Iterator[PairResult]:
    """As `compare`, one model on one device after the other."""
    check_names(engines)
    subjects, reached = read_subjects(models), _reached(devices)
    chosen = settings or ComparisonSettings()
    for subject in subjects:
        referee, notices = _referee(subject)
        shapes = {name: tuple(shape) for name, shape in subject.shapes.items()}
        model = ComparedModel(subject.name, str(subject.path), shapes, (*subject.notices, *notices))
        for device_name, device in reached.items():
            names = tuple(dict.fromkeys(engines)) or default_engines(subject.path, device, log)
            with tempfile.TemporaryDirectory(prefix="autotune-compare-") as folder:
                entrants = [enter(name, subject, device, log, Path(folder)) for name in names]
                runs = _runs(entrants, _Pair(subject, device, referee, chosen.contest))
            rows = tuple(
                _row(subject.name, device_name, each, run) for each, run in zip(entrants, runs, strict=True)
            )
            builds = {each.name: each.build for each in entrants if each.build is not None}
            yield PairResult(model, _described(device_name, device), rows, builds)


def collect(results: Iterable[PairResult], log: str | None) -> Comparison:
    """The comparison that consists of these results, as of now."""
    found = list(results)
    return Comparison(
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple({one.model.name: one.model for one in found}.values()),
        tuple({one.device.name: one.device for one in found}.values()),
        tuple(row for one in found for row in one.rows),
        log,
    )


def _reached(devices: Sequence[str | Device]) -> dict[str, Device]:
    """Devices by their names in the comparison."""
    reached: dict[str, Device] = {}
    for each in devices:
        device = parse_device(each) if isinstance(each, str) else each
        name = distinct_name(device.name, device.connection)
        if name in reached:
            raise Misuse(f"expected each device once; found {name} twice", code="AT805")
        reached[name] = device
    if not reached:
        raise Misuse("expected at least one device to compare on; found none", code="AT805")
    return reached


def _referee(subject: Subject) -> tuple[Referee | None, tuple[str, ...]]:
    """The reference's outputs; None, with a notice, where the reference does not run the model."""
    settings = TimingSettings(subject.inputs, local_device().threads, seed=SEED)
    return referee_or_notice(subject.path, subject.shapes, settings, samples=subject.samples)


def _runs(entrants: Sequence[Entrant], pair: _Pair) -> list[EngineRun]:
    """A part in the contest for each entrant, without runs for those that have no engine."""
    with ExitStack() as stack:
        taking_part = [one for one in entrants if one.engine is not None]
        found = contest(_processes(stack, taking_part, pair), pair.referee, pair.settings)
        played = dict(zip((one.name for one in taking_part), found, strict=True))
    nothing = EngineRun((), None, None, None, None)
    return [played.get(one.name, nothing) for one in entrants]


def _processes(stack: ExitStack, entrants: Sequence[Entrant], pair: _Pair) -> list[EngineProcess]:
    inputs, settings, via = pair.subject.inputs, pair.settings, pair.device.via
    samples = pair.referee.samples if pair.referee else ()
    engines = [one.engine for one in entrants if one.engine is not None]
    if isinstance(via, Rpc):
        builds = [one for one in engines if isinstance(one, SavedModel)]
        return BoardModelRunner(via, SEED).engine_processes(stack, builds, inputs, samples)
    timing = TimingSettings(inputs, pair.device.threads, settings.rounds, settings.round_secs, SEED)
    return [engine_process(stack, one, timing, samples=samples) for one in engines]


def _row(model: str, device: str, entrant: Entrant, run: EngineRun) -> Row:
    reason = entrant.reason or run.failure
    build = entrant.build
    row = Row(
        model,
        device,
        entrant.name,
        reason=reason,
        code=entrant.code,
        build=BuildSummary(sum(build.secs.values()), 1.0 - build.coverage.missed_share) if build else None,
    )
    if reason is not None:
        return row
    return msgspec.structs.replace(
        row,
        measured=_measured(entrant, run),
        mistake=run.verdict.mistake if run.verdict else None,
        is_checked=run.verdict is not None,
    )


def _measured(entrant: Entrant, run: EngineRun) -> Measured:
    check = run.verdict.check if run.verdict else None
    return msgspec.structs.replace(
        measured(run.run_secs, entrant.size_bytes),
        load_secs=run.opened.load_secs if run.opened else None,
        peak_memory_bytes=run.peak_memory_bytes,
        base_memory_bytes=run.opened.base_memory_bytes if run.opened else None,
        max_abs_error=_finite(check.max_abs_error) if check else None,
        max_rel_error=_finite(check.max_rel_error) if check else None,
    )


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _described(name: str, device: Device) -> ComparedDevice:
    return ComparedDevice(
        name,
        device.connection,
        str(device.target),
        device.threads,
        dict(device.fingerprint.facts),
        device.price_per_hour,
    )
