"""Whole models, built before and after the search and run in turns."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from autotune.deployment.any_size_check import find_size_mistake
from autotune.deployment.coverage import Coverage
from autotune.deployment.executable import SavedModel
from autotune.deployment.isolated_build import BuildRequest, build_apart
from autotune.deployment.model_runner import SEED, ModelRunner, model_runner
from autotune.deployment.preflight import Preflight, check_file, preflight
from autotune.deployment.referee import Referee
from autotune.deployment.reference import referee_or_notice
from autotune.deployment.samples import read_samples
from autotune.deployment.side_by_side import TimingSettings
from autotune.devices.device import Device, local_device
from autotune.jobs.job_file import ModelRequest
from autotune.jobs.patient_log import Patience
from autotune.jobs.status import Latency, ModelStatus, Operator
from autotune.models.model import read_inputs
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import StorageError
from tuning_logs.atomic_file import atomically
from tuning_logs.selection.significance import median_interval

T = TypeVar("T")

# A first look at the latency.
_ROUND_SECS = 0.05
# Runs that are kept for pictures.
_KEPT_RUNS = 200
# A model of which one run takes longer is run in fewer turns.
_SLOW_SECS = 0.1
_FEWEST_TURNS = 3
# Of 255 that file systems take, less what names of temporary files add.
_MOST_NAME_BYTES = 200
# A turn of two builds, with the pauses between them.
_TURN_SECS = 1.0


_ModelKey = tuple[Path, tuple[tuple[str, tuple[int, ...]], ...], tuple[Path, ...]]


class ModelBuilds:
    """Checks the models of a job, builds them in its folder, and measures them where `open_runner` runs them.

    folder: None for a job that only searches, whose models are checked and nothing else;
    server: forks the processes for it; by default one of each; patience: waits for the log, by default not at all.
    """

    def __init__(
        self,
        folder: Path | None,
        log: str,
        open_runner: Callable[[Device], ModelRunner] = model_runner,
        server: ForkServer | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._folder, self._log, self._open_runner, self._server = folder, log, open_runner, server
        self._patience = patience
        self._referees: dict[_ModelKey, Referee | None] = {}

    @property
    def is_saving(self) -> bool:
        """Whether builds are kept and measured."""
        return self._folder is not None

    def before(self, request: ModelRequest, device: Device, status: ModelStatus) -> ModelStatus:
        """Builds a model with the log as it is, runs it a few times, and compares it with its reference.

        On a device of another machine it is compared here, and run there. Returns the status with what was found.
        Raises Misuse where the model fails, and AutotuneError where the device does not run it.
        """
        if self._folder is None:
            self._check(request)
            return status
        library = self._library(status, "before")
        build = self._request(request, device, library)
        if device.is_here and not device.target.is_gpu:
            found = self._patiently(lambda: preflight(build, device.threads, self._server, request.samples))
            coverage, first_secs, secs = found.coverage, found.latency.secs, found.build_secs
        else:
            found, started = self._check(request), time.monotonic()
            coverage = self._build(build)
            place = self._open_runner(device)
            taken = place.measure(
                SavedModel(library.absolute(), "before", device.threads, device.tvm_name),
                found.inputs,
                1,
                _ROUND_SECS,
            )
            first_secs, secs = taken.secs, time.monotonic() - started
        self._referees[_key(request)] = found.referee
        return msgspec.structs.replace(
            status,
            operators=_operators(coverage),
            before_operators=_operators(coverage),
            first_secs=first_secs,
            before_secs=secs,
        )

    def after(
        self,
        request: ModelRequest,
        device: Device,
        status: ModelStatus,
        turns: int,
        spare_secs: Callable[[], float],
    ) -> tuple[ModelStatus, str | None]:
        """Builds a model with the log as it has become, and runs it in turns with the build from before.

        turns: of each build, more where spare_secs, the time left, allows; fewer of a slow model.
        The faster of the two becomes the job's library. Returns the status with what was found, and a warning where
        the library is not the new build, or where that does not compute what the reference does. Raises AutotuneError
        where the model does not build or run, StorageError where the library cannot be written.
        """
        old, new = self._library(status, "before"), self._library(status, "after")
        coverage = self._build(self._request(request, device, new))
        referee, specs = self._referee(request), read_inputs(request.path, request.largest_shapes)
        builds = [
            SavedModel(one.absolute(), name, device.threads, device.tvm_name)
            for one, name in ((new, "after"), (old, "before"))
        ]
        slow = (status.first_secs or 0.0) > _SLOW_SECS or spare_secs() < turns * _TURN_SECS
        rounds = _FEWEST_TURNS if slow else turns
        compared = self._open_runner(device).side_by_side(builds, specs, rounds, referee, spare_secs)
        after, before = (latency(each.run_secs) for each in compared.latencies)
        mistake = compared.mistake or self._mistake_at_a_size(request, device, new)
        fault = None
        if mistake is not None:
            fault = f"the tuned build computes something else: {mistake}"
        elif after.low_secs > before.high_secs:
            fault = "the build from before the job is faster, and is kept"
        library = self._library(status, None)
        _put(old if fault else new, library)
        found = msgspec.structs.replace(
            status,
            before=before,
            after=after,
            outputs_equal=mistake is None,
            library=str(library),
            operators=_kept(status.before_operators, fault) if fault else _operators(coverage),
        )
        return found, f"{status.name}: {fault}" if fault else None

    def has_before(self, status: ModelStatus) -> bool:
        """Whether an earlier run of the job has built the model already."""
        return self.is_saving and status.first_secs is not None and self._library(status, "before").is_file()

    def remaining_secs(self, status: ModelStatus, turns: int) -> float:
        """An estimate of the duration of `after` from that of `before`."""
        run_secs = status.first_secs or 0.0
        taken = _FEWEST_TURNS if run_secs > _SLOW_SECS else turns
        return 1.5 * (status.before_secs or 0.0) + taken * (0.5 + 4 * run_secs)

    def _build(self, build: BuildRequest) -> Coverage:
        return self._patiently(lambda: build_apart(build, self._server)).coverage

    def _patiently(self, call: Callable[[], T]) -> T:
        """Makes a call that reads the log, once that answers."""
        return call() if self._patience is None else self._patience.wait_for(call)

    def _check(self, request: ModelRequest) -> Preflight:
        return check_file(request.path, request.largest_shapes, server=self._server, samples=request.samples)

    def _referee(self, request: ModelRequest) -> Referee | None:
        """The reference's outputs, which an earlier run of the job may have seen; None where it does not run here."""
        key = _key(request)
        if key not in self._referees:
            specs = read_inputs(request.path, request.largest_shapes)
            samples = read_samples(request.samples, specs)
            settings = TimingSettings(specs, local_device().threads, seed=SEED)
            self._referees[key], _ = referee_or_notice(
                request.path, request.largest_shapes, settings, self._server, samples
            )
        return self._referees[key]

    def _mistake_at_a_size(self, request: ModelRequest, device: Device, library: Path) -> str | None:
        """The mistake of a build for ranges of sizes, of one that runs on this machine's CPU."""
        if request.plan is None or not device.is_here or device.target.is_gpu:
            return None
        return find_size_mistake(library, request.path, request.plan, device.threads, self._server)

    def _request(self, request: ModelRequest, device: Device, library: Path) -> BuildRequest:
        return BuildRequest(
            request.path,
            request.largest_shapes,
            device.target,
            device.fingerprint,
            self._log,
            library,
            None if device.is_here else device.linker,
            request.plan,
        )

    def _library(self, status: ModelStatus, when: str | None) -> Path:
        """The path of a build: named after the model, and the device where that is not the local one."""
        place = (
            ""
            if status.device == "local"
            else "@" + "".join(c if c.isalnum() else "-" for c in status.device)
        )
        folder = self._folder or Path()
        builds = folder if when is None else folder / when
        return builds / f"{_short(f'{status.name}{place}')}.so"


def latency(run_secs: Sequence[float]) -> Latency:
    """The median of runs in their order, with its 95 % interval, and some of the runs."""
    low, high = median_interval(run_secs)
    kept = run_secs[:: -(-len(run_secs) // _KEPT_RUNS)]
    return Latency(statistics.median(run_secs), low, high, tuple(kept))


def _put(build: Path, library: Path) -> None:
    """Replaces the library by a build: by a link, or where the file system has none by a copy."""
    try:
        with atomically(library) as scratch:
            try:
                os.link(build, scratch)
            except OSError:
                shutil.copyfile(build, scratch)
    except OSError as error:
        raise StorageError(f"the library could not be written to {library}: {error}", code="AT803") from error


def _short(name: str) -> str:
    """A name that file systems take, with a digest in place of what is too long."""
    encoded = os.fsencode(name)
    if len(encoded) <= _MOST_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return encoded[:_MOST_NAME_BYTES].decode(errors="ignore") + f"-{digest}"


def _key(request: ModelRequest) -> _ModelKey:
    return request.path, tuple(request.largest_shapes.items()), request.samples


def _operators(coverage: Coverage) -> tuple[Operator, ...]:
    return tuple(
        Operator(
            row.name,
            row.key,
            row.calls,
            row.status.value,
            row.reason,
            _finite(row.default_secs),
            _finite(row.tuned_secs),
            row.share,
        )
        for row in coverage.rows
    )


def _kept(operators: Iterable[Operator], fault: str) -> tuple[Operator, ...]:
    """The operators of the build from before the job, with the fault of the tuned one as the reason."""
    return tuple(msgspec.structs.replace(operator, reason=fault) for operator in operators)


def _finite(secs: float | None) -> float | None:
    return secs if secs is not None and math.isfinite(secs) else None
