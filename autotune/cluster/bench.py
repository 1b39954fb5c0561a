"""The worker's side of measuring: supervises the worker process that runs kernels on its device."""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from autotune.cluster.parcel import MeasureOrder, MeasureReport, Parcel, SpeedupOrder
from autotune.devices.device import Device
from autotune.devices.machine_state import MachineWatch
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.factory import open_runner
from autotune.runners.local_runner import LocalRunner
from autotune.runners.rpc_runner import RpcRunner
from autotune.runners.runner import Outcome
from autotune.workers.closeable import Closeable
from search_spaces.errors import AutotuneError
from tuning_logs.records.measurement import Failure

_Runner = LocalRunner | RpcRunner
# The untuned program has not run here: the worker process was started anew, or the order is another's.
_UNMEASURED = "AT603"
# The least time between two looks at what else uses the machine, each of which goes through all its processes.
_LOOK_SECS = 5.0


class Bench(Closeable):
    """Measures on one device of this machine with the runner that a job on this machine has, limits and guards as well.

    The runner is kept as long as the orders have the same stopwatch, and with it the reference outputs.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._runner: _Runner | None = None
        self._stopwatch: Stopwatch | None = None
        self._watch = MachineWatch()
        self._next_look = 0.0
        self._busy_elsewhere = 0.0
        self._numbers = itertools.count()
        self._scratch = tempfile.TemporaryDirectory(prefix="autotune-bench-")

    def carry_out(self, order: MeasureOrder | SpeedupOrder) -> MeasureReport | float:
        """Measures artifacts, or the speedup of threads. Raises AutotuneError where the device does not work."""
        if isinstance(order, SpeedupOrder):
            return self._open(self._stopwatch).thread_speedup()
        with self._watched():
            report = self._measure(order)
        return replace(report, busy_elsewhere=self._busy_elsewhere)

    def close(self) -> None:
        """Ends the worker process."""
        if self._runner is not None:
            self._runner.close()
        self._scratch.cleanup()

    def _measure(self, order: MeasureOrder) -> MeasureReport:
        runner = self._open(order.stopwatch)
        if order.reference is not None:
            [outcome] = self._run(runner, [order.reference], math.inf)
            if isinstance(outcome.measurement, Failure):
                return self._report((), runner, f"its untuned program failed: {outcome.measurement.message}")
        try:
            return self._report(self._run(runner, order.parcels, order.best_secs), runner)
        except AutotuneError as error:
            if error.code != _UNMEASURED:
                raise
            return self._report((), runner, str(error))

    def _run(self, runner: _Runner, parcels: Sequence[Parcel], best_secs: float) -> tuple[Outcome, ...]:
        paths = [Path(self._scratch.name, f"{next(self._numbers)}.so") for _ in parcels]
        try:
            artifacts = [parcel.unpacked(path) for parcel, path in zip(parcels, paths, strict=True)]
            return tuple(runner.run(artifacts, best_secs))
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _open(self, stopwatch: Stopwatch | None) -> _Runner:
        if self._runner is not None and stopwatch != self._stopwatch:
            self._runner.close()
            self._runner = None
        if self._runner is None:
            self._runner, self._stopwatch = open_runner(self.device, stopwatch), stopwatch
        return self._runner

    def _report(
        self, outcomes: tuple[Outcome, ...], runner: _Runner, trouble: str | None = None
    ) -> MeasureReport:
        secs = runner.reference_secs if isinstance(runner, LocalRunner) else None
        return MeasureReport(outcomes, self.device.fingerprint.key, secs, trouble)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Notes what other programs use meanwhile, if it was not looked at just now."""
        if time.monotonic() < self._next_look:
            yield
            return
        self._watch.look("")  # what was before does not matter
        yield
        self._busy_elsewhere = self._watch.look("").busy_elsewhere
        self._next_look = time.monotonic() + _LOOK_SECS
