"""The status of a running job and the state of its machine, written after each round."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

from autotune.devices.machine_state import MachineState, MachineWatch
from autotune.jobs.device_choice import compare_devices
from autotune.jobs.engine import JobEngine
from autotune.jobs.status import BudgetStatus, JobState, JobStatus, RunStatus
from autotune.jobs.status_file import write_status
from autotune.tuning.provenance import utc_now
from tuning_logs.address import without_password

_LOOK_SECS = 30.0
# Looks that are kept; when there are more, every second one is forgotten.
_MAX_LOOKS = 480
# A share of one processor that others may use before it is worth a warning.
_BUSY = 0.25


class StatusWriter:
    """Assembles the status of an engine, and keeps the status file of a folder up to date.

    folder: None where nothing is written; pid: of the process that runs the job.
    """

    def __init__(self, engine: JobEngine, folder: Path | None, log: str, pid: int) -> None:
        self.engine = engine
        self._folder = folder
        self._log = log
        self._pid = pid
        self._started = utc_now()
        self._watch = MachineWatch()
        self._looked = time.monotonic()
        self._looks: list[MachineState] = list(engine.earlier.machine) if engine.earlier else []
        self._busy = Counter[str]()

    def write(self) -> JobStatus:
        """Looks at the machine where it is time to, and writes the status down. Raises AutotuneError where the
        folder cannot be written to."""
        if time.monotonic() - self._looked >= _LOOK_SECS:
            self._look()
        status = self.status()
        if self._folder is not None:
            write_status(self._folder, status)
        return status

    def status(self) -> JobStatus:
        """Assembles the status: the snapshots of devices and models, and what is left of the budget."""
        engine, request, earlier = self.engine, self.engine.plan.request, self.engine.earlier
        budget = request.budget
        present = RunStatus(
            started=self._started, secs=engine.elapsed_secs, pid=self._pid, state=engine.state
        )
        gains = [run.gain_per_hour for run in engine.device_runs if math.isfinite(run.gain_per_hour)]
        trials = max(engine.trials, earlier.trials if earlier else 0)
        devices = tuple(run.snapshot() for run in engine.device_runs)
        models = engine.model_snapshots()
        versions = next((run.versions for run in engine.device_runs if run.versions), {})
        return JobStatus(
            name=request.name,
            run_prefix=engine.run_prefix,
            state=engine.state,
            activity=engine.activity,
            log=without_password(self._log),
            updated=utc_now(),
            secs=engine.spent_secs + engine.elapsed_secs,
            eta_secs=self._eta_secs(trials),
            budget=BudgetStatus(trials=budget.trials, secs=budget.secs, gain_per_hour=budget.gain_per_hour),
            trials=trials,
            expected_gain_per_hour=max(gains, default=None),
            runs=(*(earlier.runs if earlier else ()), present),
            models=models,
            devices=devices,
            offers=tuple(compare_devices(models, devices)),
            tasks=tuple(task for run in engine.device_runs for task in run.task_snapshots()),
            failures=dict(engine.failures),
            crashes=engine.crashes,
            machine=tuple(self._looks),
            warnings=(*engine.warnings, *self._busy_warning()),
            versions=versions or (earlier.versions if earlier else {}),
        )

    def _look(self) -> None:
        self._looked = time.monotonic()
        state = self._watch.look(utc_now())
        self._looks.append(state)
        self._busy.update(["busy" if state.busy_elsewhere > _BUSY else "quiet"])
        if len(self._looks) > _MAX_LOOKS:
            del self._looks[1::2]

    def _busy_warning(self) -> list[str]:
        busy, looks = self._busy["busy"], sum(self._busy.values())
        if not busy:
            return []
        most = max(look.busy_elsewhere for look in self._looks)
        return [
            f"other programs used the machine in {busy} of {looks} looks at it, {most:.1f} processors at most: "
            "timings may be off; stop them for a better result"
        ]

    def _eta_secs(self, trials: int) -> float | None:
        """Seconds until the nearest limit of the budget is reached at the present rate; None where none can be told."""
        engine, budget = self.engine, self.engine.plan.request.budget
        if engine.state is not JobState.RUNNING:
            return 0.0
        secs = engine.secs_left
        limits = [] if secs is None else [max(secs, 0.0)]
        done = trials - (engine.earlier.trials if engine.earlier else 0)
        if budget.trials is not None and done > 0:
            limits.append((budget.trials - trials) * engine.elapsed_secs / done)
        return min(limits, default=None)
