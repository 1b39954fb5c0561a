"""Records are found by task, target and device, and the best of them is the one to trust."""

import math
import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from search_spaces.errors import Misuse
from tuning_logs import Check, Failure, FailureKind, Timing, TuningLog


def test_where_tells_workloads_targets_and_devices_apart(record):
    ours = record(0)
    other_workload = record(1, workload="conv2d")
    other_target = record(2, target="llvm -mcpu=cascadelake")
    other_device = record(3, threads=8)
    log = TuningLog.in_memory()
    log.append([ours, other_workload, other_target, other_device])
    assert log.where(task=ours.task) == [ours, other_device]
    assert log.where(task=ours.task, device=ours.device) == [ours]
    assert log.where(device=ours.device) == [ours, other_workload, other_target]
    assert log.where() == [ours, other_workload, other_target, other_device]
    assert log.tasks() == [ours.task, other_workload.task, other_target.task]
    assert log.devices() == [ours.device, other_device.device]
    assert log.jobs() == [ours.provenance.job]


def test_a_task_is_found_whatever_its_weight(record):
    log = TuningLog.in_memory()
    log.append([record(0)])
    task = record(0).task
    assert len(log.where(task=type(task)(task.workload, task.target, task.weight + 4))) == 1


def test_best_is_the_fastest_that_ran(record):
    log = TuningLog.in_memory()
    slow = record(0, tile=(1, 32), measurement=Timing((0.5, 0.5), 0.1))
    fast = record(1, tile=(2, 16), measurement=Timing((0.2, 0.3, 0.1), 0.1))
    failed = record(2, tile=(4, 8), measurement=Failure(FailureKind.RUN_ERROR, "boom"))
    log.append([slow])
    assert log.best(slow.task, slow.device) == slow
    log.append([fast, failed])
    assert log.best(slow.task, slow.device) == fast
    assert log.best(slow.task) == fast


def test_best_of_nothing_or_of_failures_is_none(record):
    log = TuningLog.in_memory()
    assert log.best(record(0).task) is None
    log.append([record(0, measurement=Failure(FailureKind.BUILD_ERROR, "no"))])
    assert log.best(record(0).task) is None


def test_best_on_a_device_leaves_other_devices_out(record):
    log = TuningLog.in_memory()
    here = record(0, measurement=Timing((0.5,), 0.1))
    there = record(1, threads=8, measurement=Timing((0.1,), 0.1))
    log.append([here, there])
    assert log.best(here.task, here.device) == here
    assert log.best(here.task) == there
    assert log.best(here.task, record(0, threads=64).device) is None


def test_a_lucky_run_does_not_win_over_a_config_measured_again(record):
    log = TuningLog.in_memory()
    steady = record(0, tile=(2, 16), measurement=Timing((0.20, 0.21), 0.1))
    lucky = record(1, tile=(4, 8), measurement=Timing((0.10,), 0.1))
    log.append([steady, lucky])
    assert log.best(steady.task) == lucky
    log.append([record(2, tile=(4, 8), measurement=Timing((0.30, 0.31), 0.1))])
    best = log.best(steady.task)
    assert best == steady
    log.append([record(3, tile=(2, 16), measurement=Timing((0.22,), 0.1))])
    best = log.best(steady.task)
    assert best is not None
    assert best.measurement == Timing((0.20, 0.21, 0.22), 0.1)
    assert best.provenance.trial == 3
    assert len(log) == 4


def test_the_best_of_an_earlier_job_is_beaten_only_by_what_was_faster_beside_it(record):
    """Everything was faster in the second job, the champion too."""
    champion = record(0, tile=(2, 16), measurement=Timing((1.0, 1.0, 1.0), 0.1))
    other = record(1, tile=(1, 32), measurement=Timing((1.1,), 0.1))
    newcomer = record(0, tile=(4, 8), measurement=Timing((0.92,), 0.1), job="job-2")
    log = TuningLog.in_memory()
    log.append([champion, other, newcomer])
    assert log.best(champion.task) == newcomer, "nothing else is known"
    log.append([record(1, tile=(2, 16), measurement=Timing((0.9, 0.9), 0.1), job="job-2")])
    best = log.best(champion.task)
    assert best is not None
    assert best.config == champion.config
    assert best.measurement == Timing((1.0, 1.0, 1.0, 0.9, 0.9), 0.1)
    faster = record(2, tile=(8, 4), measurement=Timing((0.85,), 0.1), job="job-2")
    log.append([faster])
    assert log.best(champion.task) == faster


def test_repeats_of_different_devices_and_space_versions_are_not_mixed(record):
    log = TuningLog.in_memory()
    log.append(
        [
            record(0, measurement=Timing((0.2,), 0.1)),
            record(1, threads=8, measurement=Timing((0.9,), 0.1)),
            record(2, space_version="tensor_ir-2", measurement=Timing((0.9,), 0.1)),
        ]
    )
    best = log.best(record(0).task)
    assert best is not None
    assert best.measurement == Timing((0.2,), 0.1)


def test_a_censored_timing_counts_only_where_there_is_no_other(record):
    log = TuningLog.in_memory()
    censored = record(0, tile=(1, 32), measurement=Timing((0.1,), 0.1, censored=True))
    log.append([censored])
    assert log.best(censored.task) == censored
    whole = record(1, tile=(2, 16), measurement=Timing((0.2, 0.2), 0.1))
    log.append([whole])
    assert log.best(censored.task) == whole
    remeasured = record(2, tile=(1, 32), measurement=Timing((0.15, 0.15), 0.1))
    log.append([remeasured])
    assert log.best(censored.task) == remeasured


@pytest.mark.parametrize("wrong_first", [True, False])
def test_a_config_that_ever_gave_a_wrong_result_never_wins(record, wrong_first):
    wrong = record(0, tile=(2, 16), measurement=Failure(FailureKind.WRONG_RESULT, "off by 3"))
    fast = record(1, tile=(2, 16), measurement=Timing((0.1,), 0.1))
    slow = record(2, tile=(4, 8), measurement=Timing((0.9,), 0.1))
    log = TuningLog.in_memory()
    log.append([wrong, fast, slow] if wrong_first else [slow, fast, wrong])
    assert log.best(slow.task) == slow


def test_a_crash_does_not_disqualify_a_config_that_ran_before(record):
    log = TuningLog.in_memory()
    ran = record(0)
    log.append([ran, record(1, measurement=Failure(FailureKind.DEVICE_LOST, "gone"))])
    assert log.best(ran.task) == ran


def test_the_frame_has_one_row_per_record(record):
    log = TuningLog.in_memory()
    assert log.to_pandas().empty
    log.append(
        [
            record(0, measurement=Timing((0.2, 0.1, 0.3, 0.4), 0.5), check=Check(1e-6, math.inf)),
            record(7, measurement=Failure(FailureKind.OUT_OF_MEMORY, "8 GiB", 0.75)),
        ]
    )
    frame = log.to_pandas()
    assert frame["status"].tolist() == ["ok", "failed"]
    assert frame["secs"][0] == 0.25
    assert frame["fastest_secs"][0] == 0.1
    assert frame["repeats"][0] == 4
    assert frame["gflops_per_sec"][0] == 8.0
    assert frame["max_rel_error"][0] == math.inf
    assert frame["failure"][1] == "out_of_memory"
    assert frame["build_secs"].tolist() == [0.5, 0.75]
    assert frame["secs"].isna().tolist() == [False, True]
    assert frame["trial"].tolist() == [0, 7]
    assert frame["answers"][0] == '[["sketch","sketch-0"],["tile",[8,4]],["unroll",16]]'
    assert str(frame["time"][1]) == "2026-01-01 00:00:07+00:00"
    assert list(log.to_pandas().dtypes) == list(TuningLog.in_memory().to_pandas().dtypes)


@pytest.mark.parametrize(
    "measurement",
    [
        Timing((), 0.1),
        Timing((math.nan,), 0.1),
        Timing((math.inf,), 0.1),
        Timing((-1.0,), 0.1),
        Timing((0.0,), 0.1),
        Timing((0.1,), -0.1),
        Timing((1e300,), 0.1),
    ],
)
def test_a_timing_that_cannot_be_is_refused_with_its_whole_batch(record, tmp_path, measurement):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([record(0)])
        before = path.read_bytes()
        with pytest.raises(Misuse, match=r"trial 2 of 'matmul'.*run_secs|trial 2 of 'matmul'.*build_secs"):
            log.append([record(1, workload="conv2d"), record(2, measurement=measurement)])
        assert path.read_bytes() == before
        assert len(log) == 1
        log.append([record(1, workload="conv2d")])
    assert list(TuningLog.read(path).iterate()) == [record(0), record(1, workload="conv2d")]


def test_a_long_message_keeps_its_start_and_its_end(record, tmp_path):
    message = "TVMError: " + "x" * 100_000 + " Check failed"
    with TuningLog.open(tmp_path / "log.jsonl") as log:
        log.append([record(0, measurement=Failure(FailureKind.BUILD_ERROR, message))])
        seen = next(log.iterate())
    read = next(TuningLog.read(tmp_path / "log.jsonl").iterate())
    assert read == seen
    assert isinstance(read.measurement, Failure)
    assert len(read.measurement.message) == 2000
    assert read.measurement.message.startswith("TVMError: ")
    assert read.measurement.message.endswith("Check failed")


def test_a_message_that_is_no_text_is_written_all_the_same(record, tmp_path):
    with TuningLog.open(tmp_path / "log.jsonl") as log:
        log.append([record(0, measurement=Failure(FailureKind.RUN_ERROR, "bad \udc80 byte"))])
    assert len(TuningLog.read(tmp_path / "log.jsonl")) == 1


TRIALS = st.lists(
    st.tuples(
        st.sampled_from([(1, 32), (2, 16), (4, 8)]),
        st.sampled_from([2, 8]),
        st.one_of(
            st.builds(
                Timing,
                st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=4).map(tuple),
                st.just(0.1),
                st.booleans(),
            ),
            st.sampled_from([FailureKind.WRONG_RESULT, FailureKind.RUN_ERROR]).map(
                lambda kind: Failure(kind, "no")
            ),
        ),
    ),
    max_size=12,
)


@given(trials=TRIALS)
@examples(300)
def test_the_best_record_is_the_one_found_by_looking_at_all_of_them(record, trials):
    log = TuningLog.in_memory()
    records = [
        record(number, tile=tile, threads=threads, measurement=measurement)
        for number, (tile, threads, measurement) in enumerate(trials)
    ]
    log.append(records)
    for device in {each.device for each in records}:
        best = log.best(record().task, device)
        assert (None if best is None else best.secs) == fastest_secs(
            [each for each in records if each.device == device]
        )


def fastest_secs(records):
    timings = defaultdict(list)
    for record in records:
        timings[record.config].append(record.measurement)
    right = [
        [timing for timing in found if isinstance(timing, Timing)]
        for found in timings.values()
        if not any(isinstance(m, Failure) and m.kind is FailureKind.WRONG_RESULT for m in found)
    ]
    whole = [[timing for timing in found if not timing.censored] for found in right]
    counted = [found for found in whole if found] or [found for found in right if found]
    return min(
        (statistics.median(secs for timing in found for secs in timing.run_secs) for found in counted),
        default=None,
    )
