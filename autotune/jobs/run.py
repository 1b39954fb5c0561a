"""Running a planned job: opens its log and folder, resumes it, drives the engine, keeps its status up to date."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from autotune.jobs.engine import JobEngine
from autotune.jobs.folder_lock import held
from autotune.jobs.job_round import JobRound
from autotune.jobs.least_time import check_budget
from autotune.jobs.model_builds import ModelBuilds
from autotune.jobs.patient_log import Patience, PatientLog
from autotune.jobs.plan import JobPlan
from autotune.jobs.resume import resume
from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_writer import StatusWriter
from autotune.jobs.webhook import post
from autotune.runners.workers import LocalWorkers, Workers
from autotune.search.dashboard import Dashboard
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import StorageError, StorageUnreachable
from tuning_logs import RecordStore, open_log
from tuning_logs.address import is_url


@dataclass(frozen=True)
class JobResult:
    """The last status of a job's run, its log (closed, still readable), and why the webhook was not told, if so."""

    status: JobStatus
    log: RecordStore
    webhook_error: str | None


def _say_nothing(_text: str) -> None:
    """For jobs that nobody watches."""


@dataclass
class JobRun:
    """An opened job, to be driven by iterating over `rounds` once; `result` is available afterwards.

    webhook: the URL that is told the last status, None for none; say: told what the job waits for, once for each wait.
    """

    plan: JobPlan
    log: RecordStore
    engine: JobEngine
    writer: StatusWriter
    dashboard: Dashboard | None
    webhook: str | None
    result: JobResult | None = None
    say: Callable[[str], None] = _say_nothing

    def stop(self) -> None:
        """Requests an end after the round under way; safe in a signal handler."""
        self.engine.stop()

    @property
    def is_over(self) -> bool:
        """Whether a stop was requested or the time is up."""
        left = self.engine.secs_left
        return self.engine.is_stopping or (left is not None and left <= 0)

    def rounds(self) -> Generator[tuple[JobStatus, JobRound], None, None]:
        """Yields the written status and the round after each round of the engine.

        However it ends (budget, `stop`, an exception, the generator being closed), the worker processes are ended,
        the last status is written, and the webhook is told. Raises what `JobEngine.rounds` and
        `StatusWriter.write` raise.
        """
        failure: StorageError | None = None
        try:
            with closing(self.engine.rounds()) as rounds:
                for happened in rounds:
                    self._mirror(happened)
                    yield self.writer.write(), happened
        except StorageError as error:
            failure = error
            self._fail(error)
            raise
        finally:
            if self.engine.state is JobState.RUNNING:
                self.engine.state, self.engine.activity = JobState.STOPPED, "stopped"
            if self.dashboard:
                self.dashboard.close()
                self._note_trouble(self.dashboard)
            self._end(failure)

    def wait(self, error: StorageUnreachable) -> None:
        """Notes that the job waits for its log, in the status as well."""
        activity = f"waiting for the log: {error}"
        if activity != self.engine.activity:
            self.engine.activity = activity
            self.say(activity)
        self.writer.write()

    def _fail(self, error: StorageError) -> None:
        self.engine.state, self.engine.activity = JobState.FAILED, f"failed: {error}"

    def _end(self, failure: StorageError | None) -> None:
        """Writes the last status and tells the webhook. Raises StorageError where it cannot be written, unless that is
        the less telling fault of two."""
        fault: StorageError | None = None
        try:
            status = self.writer.write()
        except StorageError as error:
            fault = error
            if failure is None:
                self._fail(error)
            status = self.writer.status()
        self.result = JobResult(status, self.log, post(self.webhook, status) if self.webhook else None)
        if fault and failure is None:
            raise fault

    def _mirror(self, happened: JobRound) -> None:
        if self.dashboard:
            self.dashboard.add(happened.records)
            self._note_trouble(self.dashboard)

    def _note_trouble(self, dashboard: Dashboard) -> None:
        if dashboard.trouble and dashboard.trouble not in self.engine.warnings:
            self.engine.warnings.append(dashboard.trouble)


@contextmanager
def open_job(
    plan: JobPlan,
    make_engine: Callable[..., JobEngine] = JobEngine,
    started: float | None = None,
    server: ForkServer | None = None,
    workers: Workers | None = None,
) -> Iterator[JobRun]:
    """Opens a job's log and folder for one run, resuming the job whose folder says that it has run before.

    started: when the run began, on the monotonic clock, from which its time budget counts; by default now;
    server:  forks all worker processes of the job on this machine; by default one for each purpose;
    workers: compile and measure candidates, by default processes of this machine.
    Raises Misuse where the budget is too short for anything, and AutotuneError where the log or the folder cannot be
    written to or belongs to a running job.
    """
    request = plan.request
    with ExitStack() as stack:
        log = stack.enter_context(open_log(request.log))
        log.append([])  # finds out now whether another process is writing
        if request.output:
            stack.enter_context(held(request.output))
        found = resume(request, log)
        if found.earlier is None:
            check_budget(plan)
        # Files answer at once or never.
        patience = (
            Patience(lambda error: job.wait(error), lambda: job.is_over) if is_url(request.log) else None
        )
        engine = make_engine(
            plan,
            PatientLog(log, patience) if patience else log,
            found.run_prefix,
            ModelBuilds(request.output, request.log, server=server, patience=patience),
            found.earlier,
            started=started,
            spent_secs=found.spent_secs,
            workers=workers or (LocalWorkers(server) if server else None),
        )
        dashboard = None
        if request.dashboard:
            dashboard = stack.enter_context(Dashboard(request.dashboard, request.name, plan.space))
            dashboard.add(found.records(log))
        writer = StatusWriter(engine, request.output, request.log, os.getpid())
        job = JobRun(plan, log, engine, writer, dashboard, request.webhook)
        yield job


def run_job(
    plan: JobPlan, make_engine: Callable[..., JobEngine] = JobEngine, started: float | None = None
) -> JobResult:
    """Runs a job until its budget is spent, or resumes it; see `open_job`. Raises what its rounds raise.

    >>> result = run_job(plan_job(read_job_file(Path("jobs.toml"))))  # doctest: +SKIP
    """
    with open_job(plan, make_engine, started) as job:
        for _ in job.rounds():
            pass
    assert job.result is not None
    return job.result
