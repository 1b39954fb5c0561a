"""The line of figures at a job's end."""

import msgspec

from autotune.cli.job_view import summary
from autotune.jobs.status import BudgetStatus, JobState, JobStatus, TaskStatus


def test_it_says_which_share_of_the_trials_improved_on_the_best() -> None:
    tasks = (
        TaskStatus(name="conv2d", key="a", device="local", calls=3, flops=1.0, trials=30, improvements=5),
        TaskStatus(name="relu", key="b", device="local", calls=1, flops=1.0, trials=10, improvements=1),
        TaskStatus(name="direct", key="c", device="local", calls=0, flops=1.0, trials=1),
    )
    status = JobStatus(
        name="job",
        run_prefix="job-",
        state=JobState.FINISHED,
        activity="finished",
        log="log.jsonl",
        updated="2026-01-01T00:00:00+00:00",
        secs=60.0,
        eta_secs=0.0,
        budget=BudgetStatus(trials=41, secs=None, gain_per_hour=None),
        trials=41,
        expected_gain_per_hour=None,
        runs=(),
        models=(),
        devices=(),
        tasks=tasks,
        failures={},
    )
    assert "15% of trials improved on the best" in summary(status)
    assert "improved" not in summary(msgspec.structs.replace(status, state=JobState.RUNNING))
