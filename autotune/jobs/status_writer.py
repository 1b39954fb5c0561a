"""What is written down of a running job, round by round: its status, and how the machine does."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

from autotune.devices.machine_state import MachineState, MachineWatch
from autotune.jobs.device_choice import compare_devices
from autotune.jobs.device_run import DeviceRun
from autotune.jobs.engine import JobEngine
from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    ModelStatus,
    RunStatus,
    TaskStatus,
    write_status,
)
from autotune.tuning.provenance import utc_now
from autotune.tuning.task_scheduler import TaskProgress
from search_spaces import TuningTask

_LOOK_SECS = 30.0
# Looks that are kept; when there are more, every second one is forgotten.
_MAX_LOOKS = 480
# A share of one processor that others may use before it is worth a warning.
_BUSY = 0.25


class StatusWriter:
    """Turns the state of an engine into a status, and keeps that of a folder up to date.

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
        tasks = engine.earlier.tasks if engine.earlier else []
        self._known = {(one.key, one.device): one for one in tasks}

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
        """Where the job stands."""
        engine, request, earlier = self.engine, self.engine.plan.request, self.engine.earlier
        budget = request.budget
        for run in engine.device_runs:
            self._estimate(run)
        present = RunStatus(
            started=self._started, secs=engine.elapsed_secs, pid=self._pid, state=engine.state
        )
        gains = [run.tuner.forecast.per_hour for run in engine.device_runs if run.tuner]
        gains = [gain for gain in gains if math.isfinite(gain)]
        trials = max(engine.trials, earlier.trials if earlier else 0)
        models, devices = list(engine.models.values()), [self._device(run) for run in engine.device_runs]
        versions = next((dict(run.tuner.provenance.versions) for run in engine.device_runs if run.tuner), {})
        return JobStatus(
            name=request.name,
            run_prefix=engine.run_prefix,
            state=engine.state,
            activity=engine.activity,
            log=self._log,
            updated=utc_now(),
            secs=engine.spent_secs + engine.elapsed_secs,
            eta_secs=self._eta_secs(trials),
            budget=BudgetStatus(trials=budget.trials, secs=budget.secs, gain_per_hour=budget.gain_per_hour),
            trials=trials,
            expected_gain_per_hour=max(gains, default=None),
            runs=[*(earlier.runs if earlier else []), present],
            models=models,
            devices=devices,
            offers=compare_devices(models, devices),
            tasks=[self._task(run, task) for run in engine.device_runs for task in run.plan.tasks],
            failures=dict(engine.failures),
            crashes=engine.crashes,
            machine=self._looks,
            warnings=[*engine.warnings, *self._busy_warning()],
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
        """What the limits allow at the present rate, the nearest of them."""
        engine, budget = self.engine, self.engine.plan.request.budget
        if engine.state is not JobState.RUNNING:
            return 0.0
        secs = engine.secs_left
        limits = [] if secs is None else [max(secs, 0.0)]
        done = trials - (engine.earlier.trials if engine.earlier else 0)
        if budget.trials is not None and done > 0:
            limits.append((budget.trials - trials) * engine.elapsed_secs / done)
        return min(limits, default=None)

    def _estimate(self, run: DeviceRun) -> None:
        """Adds up the tasks of each model of a device."""
        if run.tuner is None:
            return
        by_key = {task.key: progress for task, progress in run.tuner.progress.items()}
        for model in run.plan.models:
            status: ModelStatus = self.engine.models[model.name, run.plan.device.connection]
            share = model.share
            if all(key in by_key for key in share.calls):
                status.estimated_secs = share.latency_secs({key: one.best for key, one in by_key.items()})
                status.estimated_start_secs = share.latency_secs(
                    {key: one.default_secs for key, one in by_key.items()}
                )

    def _device(self, run: DeviceRun) -> DeviceStatus:
        device, tuner = run.plan.device, run.tuner
        earlier = self.engine.earlier.devices if self.engine.earlier else []
        known = next((one for one in earlier if one.connection == device.connection), None)
        return DeviceStatus(
            name=device.name,
            connection=device.connection,
            target=str(device.target),
            fingerprint=device.fingerprint.key,
            threads=device.threads,
            facts=dict(device.fingerprint.facts),
            trials=tuner.trials if tuner and tuner.trials else known.trials if known else 0,
            slowdown=tuner.drift.slowdown if tuner else 1.0,
            warning=tuner.drift.warning if tuner else known.warning if known else None,
            roofline=run.roofline or (known.roofline if known else None),
            quarantine=run.trouble,
            price_per_hour=device.price_per_hour,
        )

    def _task(self, run: DeviceRun, task: TuningTask) -> TaskStatus:
        progress = run.tuner.progress.get(task) if run.tuner else None
        verdict = run.tuner.final_results.get(task) if run.tuner else None
        device = run.plan.device.connection
        known = self._known.get((task.key, device))
        if progress is None and known is not None:
            return known  # an earlier run has found that, and this one has not come to it yet
        return TaskStatus(
            name=task.name,
            key=task.key,
            device=device,
            calls=task.weight,
            flops=task.workload.flops,
            trials=progress.trials if progress else 0,
            default_secs=progress.default_secs if progress else None,
            best_secs=progress.best if progress else None,
            winner_p_value=verdict.p_value if verdict else None,
            state=_state(progress, verdict is not None),
        )


def _state(progress: TaskProgress | None, is_decided: bool) -> str:
    if progress is None:
        return "waiting"
    if is_decided:
        return "winner confirmed"
    if progress.is_exhausted:
        return "exhausted"
    return "plateaued" if progress.has_plateaued else "searching"
