"""A job whose log is in a PostgreSQL server that goes away under it."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import postgresql_server
import pytest
from postgresql_server import PostgresqlServer

from autotune import Budget
from autotune.jobs.plan import JobPlan
from autotune.jobs.run import JobRun, open_job
from autotune.jobs.status import JobState
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from search_spaces.errors import StorageUnreachable
from tuning_logs.sql.sql_log import SqlLog

pytestmark = pytest.mark.skipif(postgresql_server.binaries() is None, reason="needs PostgreSQL")

TRIALS = 60
AWAY_SECS = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    folder = postgresql_server.binaries()
    assert folder is not None
    with postgresql_server.server(folder) as server:
        yield server


def plan_of(folder: Path, server: PostgresqlServer) -> JobPlan:
    plan = toy_plan(folder, Budget(trials=TRIALS))
    return replace(plan, request=replace(plan.request, log=f"{server.address}/postgres"))


def check_log(server: PostgresqlServer, trials: int) -> None:
    """So many candidates at least, each record once, and none between two others is missing."""
    numbers: dict[str, list[int]] = defaultdict(list)
    with SqlLog.open(f"{server.address}/postgres") as log:
        for one in log.iterate():
            numbers[one.provenance.job.id].append(one.provenance.trial)
    # A job that goes on does not log its baselines again, which are its first.
    assert all(found == list(range(found[0], found[0] + len(found))) for found in numbers.values())
    assert sum(map(len, numbers.values())) >= trials + len(SPACES)


class Restarts:
    """Restarts a server in these ways, one after the other."""

    def __init__(self, server: PostgresqlServer, *ways: signal.Signals) -> None:
        self.server, self.ways = server, list(ways)
        self.starting: list[threading.Thread] = []

    def __call__(self) -> None:
        if self.ways:
            self.server.stop(self.ways.pop())
            self.starting.append(threading.Timer(AWAY_SECS, self.server.start))
            self.starting[-1].start()


def run_through(job: JobRun, disturb: Callable[[], None]) -> None:
    """Disturbs the job after each of its rounds."""
    for _, happened in job.rounds():
        if happened.records:
            disturb()


def test_a_restarted_server_costs_a_wait_and_no_record_and_one_that_is_gone_a_sentence(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    plan, said = plan_of(tmp_path, server), list[str]()
    with open_job(plan, toy_engine(0.0)) as job:
        job.say = said.append
        run_through(job, restarts := Restarts(server, signal.SIGINT, signal.SIGQUIT))
    for starting in restarts.starting:
        starting.join()
    assert job.result is not None and job.result.status.state is JobState.FINISHED
    assert len([text for text in said if text.startswith("waiting for the log: expected postgresql://")]) >= 2
    check_log(server, TRIALS)
    assert job.result.status.trials == TRIALS

    again = replace(plan, request=replace(plan.request, budget=Budget(trials=2 * TRIALS)))
    with open_job(again, toy_engine(0.0)) as job:
        job.say = lambda _text: job.stop()
        with pytest.raises(StorageUnreachable, match="see that it is running"):
            run_through(job, server.stop)
    assert job.result is not None and job.result.status.state is JobState.FAILED
    assert "postgresql://" in job.result.status.activity
    with pytest.raises(StorageUnreachable, match="see that it is running"), open_job(again):
        pass
    server.start()
    with open_job(again, toy_engine(0.0)) as job:
        run_through(job, lambda: None)
    check_log(server, 2 * TRIALS)
    assert job.result is not None and job.result.status.trials == 2 * TRIALS
