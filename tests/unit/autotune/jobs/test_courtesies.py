"""Courtesies of a job: whatever becomes of its mirror or its webhook, the job ends as it would without them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune import Budget, TuningLog, run_job
from autotune.jobs.run import JobResult
from autotune.jobs.status import JobState
from autotune.search import dashboard
from autotune.search.dashboard import Dashboard
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from search_spaces import Misuse, ToySpace

TRIALS = 8


def run_with(folder: Path, url: str) -> JobResult:
    """A job with a mirror."""
    plan = toy_plan(folder, Budget(trials=TRIALS))
    return run_job(replace(plan, request=replace(plan.request, dashboard=url)), toy_engine(0.0))


def assert_undisturbed(folder: Path, result: JobResult) -> None:
    assert (result.status.state, result.status.trials) == (JobState.FINISHED, TRIALS)
    assert len(TuningLog.read(folder / "log.jsonl")) == TRIALS + len(SPACES)
    troubles = [one for one in result.status.warnings if "dashboard" in one]
    assert len(troubles) == 1 and "\n" not in troubles[0]


@pytest.mark.parametrize(
    "url", ["sqlite:////proc/studies.db", "sqlite:////nowhere/x.db", "sqlite:///{}/text.db"]
)
def test_a_storage_that_cannot_be_written_is_a_warning(tmp_path: Path, url: str) -> None:
    (tmp_path / "text.db").write_text("no database at all, and long enough to be read as one" * 100)
    assert_undisturbed(tmp_path, run_with(tmp_path, url.format(tmp_path)))


def test_a_storage_that_never_answers_is_waited_for_no_longer_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(dashboard, "_CLOSING_SECS", 0.1)
    opened = optuna.storages.get_storage

    def get_storage(where: str | optuna.storages.BaseStorage | None) -> object:
        return answered.wait(20) if isinstance(where, str) else opened(where)

    monkeypatch.setattr(optuna.storages, "get_storage", get_storage)
    started = time.monotonic()
    result = run_with(tmp_path, "postgresql://ann:s3cret@10.255.255.1/studies")
    assert time.monotonic() - started < 10
    assert_undisturbed(tmp_path, result)
    assert "s3cret" not in str(result.status.warnings)
    answered.set()


@pytest.mark.parametrize("failing_call", [0, 1, 5, 9])
def test_a_storage_that_fails_on_the_way_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    calls, add_trial = iter(range(1000)), optuna.Study.add_trial

    def add(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        is_mirror = threading.current_thread() is not threading.main_thread()
        if is_mirror and next(calls) == failing_call:
            raise OSError("No space left on device\nand more")
        add_trial(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", add)
    assert_undisturbed(tmp_path, run_with(tmp_path, f"sqlite:///{tmp_path}/studies.db"))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_an_address_of_no_kind_of_storage_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="Optuna storage"):
        Dashboard(f"nonsense{text}", "job", lambda _task: ToySpace(64))
