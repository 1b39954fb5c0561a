"""Trials go where the model's latency falls most, and no task starves."""

from autotune.testing.toy_machine import DEVICE
from autotune.tuning.task_scheduler import TaskProgress, TaskScheduler
from search_spaces import Config, ToySpace, TuningTask
from tuning_logs import Job, Provenance, Timing, TuningRecord


def task(extent: int, weight: int = 1) -> TuningTask:
    one = ToySpace(extent).task
    return TuningTask(one.workload, one.target, weight)


def note(progress: TaskProgress, *secs: float) -> None:
    for each in secs:
        provenance = Provenance(Job("job", 0, "random", "2026-01-01T00:00:00Z"), 0, "2026-01-01T00:00:00Z")
        measurement = Timing((each,), 0.1)
        progress.note(
            TuningRecord(
                progress.task, DEVICE.fingerprint, "toy-1", Config(()), measurement, None, provenance
            )
        )


def chosen(scheduler: TaskScheduler) -> TaskProgress:
    choice = scheduler.next_task()
    assert choice is not None
    return choice[0]


def test_every_task_gets_a_start_the_heaviest_first() -> None:
    light, heavy = TaskProgress(task(8), 1e-3), TaskProgress(task(64), 1.0)
    scheduler = TaskScheduler([light, heavy], batch=8)
    assert chosen(scheduler) is heavy
    note(heavy, *[0.5] * 4)
    assert chosen(scheduler) is light


def test_what_is_still_to_be_measured_counts_as_a_start() -> None:
    slow, other = TaskProgress(task(64), 1.0), TaskProgress(task(8), 1e-3)
    scheduler = TaskScheduler([slow, other], batch=8)
    note(slow, *[0.5] * 3)
    assert chosen(scheduler) is slow
    slow.waiting = 1
    assert chosen(scheduler) is other


def test_a_task_of_which_nothing_is_known_yet_is_still_at_its_start() -> None:
    lost = TaskProgress(task(64), 1.0, waiting=4)
    assert chosen(TaskScheduler([lost], batch=8)) is lost


def test_a_task_that_matters_more_gets_more() -> None:
    one, other = TaskProgress(task(8, weight=1), 1.0), TaskProgress(task(64, weight=5), 1.0)
    scheduler = TaskScheduler([one, other], batch=8)
    note(one, *[0.5] * 8)
    note(other, *[0.5] * 8)
    assert chosen(scheduler) is other


def test_a_task_that_still_improves_gets_more_than_one_that_stands_still() -> None:
    still, falling = TaskProgress(task(8), 1.0), TaskProgress(task(64), 1.0)
    scheduler = TaskScheduler([still, falling], batch=4)
    note(still, *[0.2] * 24)
    note(falling, *[1.0 - 0.8 * step / 23 for step in range(24)])
    assert abs(still.best - falling.best) < 1e-9
    assert chosen(scheduler) is falling


def test_candidates_slower_than_the_baseline_are_no_improvement() -> None:
    behind, ahead = TaskProgress(task(8), 1.0), TaskProgress(task(64), 1.1)
    note(behind, *[90.0] * 8)
    note(ahead, *[1.1] * 8)
    assert chosen(TaskScheduler([behind, ahead], batch=4)) is ahead


def test_turns_come_round_to_every_task_that_has_room() -> None:
    tasks = [TaskProgress(task(extent), 1.0) for extent in (8, 16, 32)]
    scheduler = TaskScheduler(tasks, batch=4)
    for _ in range(30):
        note(chosen(scheduler), *[0.5] * 4)
    assert min(one.trials for one in tasks) >= 20


def test_used_up_tasks_get_no_more() -> None:
    one, other = TaskProgress(task(8), 1.0, is_exhausted=True), TaskProgress(task(64), 1e-6)
    scheduler = TaskScheduler([one, other], batch=4)
    assert chosen(scheduler) is other
    other.is_exhausted = True
    assert scheduler.next_task() is None


def test_rounds_grow_with_what_is_known_up_to_the_batch() -> None:
    progress = TaskProgress(task(64), 1.0)
    scheduler = TaskScheduler([progress], batch=16)
    sizes = []
    while progress.trials < 120:
        choice = scheduler.next_task()
        assert choice is not None
        sizes.append(choice[1])
        note(progress, *[0.5] * choice[1])
    assert sizes[:4] == [4, 4, 4, 4]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 16


def test_the_round_after_one_under_way_goes_to_the_next_task() -> None:
    light, heavy = TaskProgress(task(8), 0.5), TaskProgress(task(64), 1.0)
    scheduler = TaskScheduler([light, heavy], batch=8)
    after = scheduler.next_after(heavy, 4)
    assert after is not None
    assert after[0] is light
    assert heavy.trials == 0, "only the outcome counts as trials"


def test_the_round_after_one_may_be_the_same_task_s() -> None:
    light, heavy = TaskProgress(task(8), 1e-6), TaskProgress(task(64), 1.0)
    note(light, *[1e-6] * 4)
    note(heavy, *[0.5] * 4)
    after = TaskScheduler([light, heavy], batch=8).next_after(heavy, 4)
    assert after is not None
    assert after[0] is heavy
    assert heavy.trials == 4


def test_a_trial_improves_where_it_is_faster_than_the_baseline_and_all_before_it() -> None:
    progress = TaskProgress(task(8), 1.0, best_secs=[2.0, 0.9, 0.9, 0.5])
    assert progress.improvements == 2
    assert TaskProgress(task(8), 1.0, best_secs=[2.0, 1.5]).improvements == 0
