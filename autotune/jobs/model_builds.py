"""Whole models, built before and after the search and run in turns."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from autotune.deployment.coverage import Coverage
from autotune.deployment.executable import SavedModel
from autotune.deployment.isolated_build import BuildRequest, build_apart
from autotune.deployment.model_runner import ModelRunner, model_runner
from autotune.devices.device import Device
from autotune.jobs.job_file import ModelRequest
from autotune.jobs.status import Latency, ModelStatus, Operator
from autotune.models import onnx_file
from tuning_logs.atomic_file import atomically
from tuning_logs.selection.significance import median_interval

# Runs that are kept for pictures.
_KEPT_RUNS = 200
# A model of which one run takes longer is run in fewer turns.
_SLOW_SECS = 0.1
_FEWEST_TURNS = 3


class ModelBuilds:
    """Builds the models of a job in its folder and measures their latencies where `open_runner` runs them."""

    def __init__(
        self, folder: Path, log: str, open_runner: Callable[[Device], ModelRunner] = model_runner
    ) -> None:
        self._folder, self._log, self._open_runner = folder, log, open_runner

    def before(self, request: ModelRequest, device: Device, status: ModelStatus) -> ModelStatus:
        """Builds a model with the log as it is and runs it a few times; returns the status with what was found.

        Raises AutotuneError where it does not build or run.
        """
        place, library = self._open_runner(device), self._library(status, "before")
        started = time.monotonic()
        coverage = build_apart(self._request(request, device, library))
        taken = place.measure(
            SavedModel(library.absolute(), "before"), _inputs(request), rounds=1, round_secs=0.05
        )
        return msgspec.structs.replace(
            status,
            operators=_operators(coverage),
            first_secs=taken.secs,
            before_secs=time.monotonic() - started,
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
        the library is not the new build, or where the two do not compute the same. Raises AutotuneError where the
        model does not build or run.
        """
        old, new = self._library(status, "before"), self._library(status, "after")
        coverage = build_apart(self._request(request, device, new))
        builds = [SavedModel(new.absolute(), "after"), SavedModel(old.absolute(), "before")]
        slow = (status.first_secs or 0.0) > _SLOW_SECS
        rounds = _FEWEST_TURNS if slow else turns
        compared = self._open_runner(device).side_by_side(builds, _inputs(request), rounds, spare_secs)
        after, before = (latency(each.run_secs) for each in compared.latencies)
        kept, warning = new, None
        if compared.mistake is not None:
            kept, warning = old, f"{status.name}: the tuned build computes something else: {compared.mistake}"
        elif after.low_secs > before.high_secs:
            kept, warning = old, f"{status.name}: the build from before the job is faster, and is kept"
        library = self._library(status, None)
        with atomically(library) as scratch:
            os.link(kept, scratch)
        found = msgspec.structs.replace(
            status,
            before=before,
            after=after,
            outputs_equal=compared.mistake is None,
            library=str(library),
            operators=_operators(coverage) if kept is new else status.operators,
        )
        return found, warning

    def has_before(self, status: ModelStatus) -> bool:
        """Whether an earlier run of the job has built the model already."""
        return status.first_secs is not None and self._library(status, "before").is_file()

    def remaining_secs(self, status: ModelStatus, turns: int) -> float:
        """An estimate of the duration of `after` from that of `before`."""
        run_secs = status.first_secs or 0.0
        taken = _FEWEST_TURNS if run_secs > _SLOW_SECS else turns
        return 1.5 * (status.before_secs or 0.0) + taken * (0.5 + 4 * run_secs)

    def _request(self, request: ModelRequest, device: Device, library: Path) -> BuildRequest:
        return BuildRequest(
            request.path,
            request.shapes,
            device.target,
            device.fingerprint,
            self._log,
            library,
            None if device.is_here else device.linker,
        )

    def _library(self, status: ModelStatus, when: str | None) -> Path:
        """The path of a build: named after the model, and the device where that is not the local one."""
        place = (
            ""
            if status.device == "local"
            else "@" + "".join(c if c.isalnum() else "-" for c in status.device)
        )
        builds = self._folder if when is None else self._folder / when
        return builds / f"{status.name}{place}.so"


def latency(run_secs: Sequence[float]) -> Latency:
    """The median of runs in their order, with its 95 % interval, and some of the runs."""
    low, high = median_interval(run_secs)
    kept = run_secs[:: -(-len(run_secs) // _KEPT_RUNS)]
    return Latency(statistics.median(run_secs), low, high, tuple(kept))


def _inputs(request: ModelRequest) -> tuple[onnx_file.InputSpec, ...]:
    return onnx_file.inputs(onnx_file.read(request.path, request.shapes))


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


def _finite(secs: float | None) -> float | None:
    return secs if secs is not None and math.isfinite(secs) else None
