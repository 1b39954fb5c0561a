"""Conformance suite of record stores."""

from __future__ import annotations

import math

import pytest

from autotune.testing.records import make_record
from search_spaces.errors import Misuse
from tuning_logs import Check, Failure, FailureKind, Timing
from tuning_logs.record_store import RecordStore


class RecordStoreLaws:
    """Tests that every `RecordStore` passes. Derive a test class that has a fixture `store`: an empty, open one."""

    def test_where_tells_workloads_targets_and_devices_apart(self, store: RecordStore) -> None:
        ours = make_record(0)
        other_workload = make_record(1, workload="conv2d")
        other_target = make_record(2, target="llvm -mcpu=cascadelake")
        other_device = make_record(3, threads=8)
        store.append([ours, other_workload, other_target, other_device])
        assert store.where(task=ours.task) == [ours, other_device]
        assert store.where(task=ours.task, device=ours.device) == [ours]
        assert store.where(device=ours.device) == [ours, other_workload, other_target]
        assert store.where() == [ours, other_workload, other_target, other_device]
        assert store.tasks() == [ours.task, other_workload.task, other_target.task]
        assert store.devices() == [ours.device, other_device.device]
        assert store.jobs() == [ours.provenance.job]

    def test_a_task_is_found_whatever_its_weight(self, store: RecordStore) -> None:
        store.append([make_record(0)])
        task = make_record(0).task
        assert len(store.where(task=type(task)(task.workload, task.target, task.weight + 4))) == 1

    def test_best_is_the_fastest_that_ran(self, store: RecordStore) -> None:
        slow = make_record(0, tile=(1, 32), measurement=Timing((0.5, 0.5), 0.1))
        fast = make_record(1, tile=(2, 16), measurement=Timing((0.2, 0.3, 0.1), 0.1))
        failed = make_record(2, tile=(4, 8), measurement=Failure(FailureKind.RUN_ERROR, "boom"))
        store.append([slow])
        assert store.best(slow.task, slow.device) == slow
        store.append([fast, failed])
        assert store.best(slow.task, slow.device) == fast
        assert store.best(slow.task) == fast

    def test_best_of_nothing_or_of_failures_is_none(self, store: RecordStore) -> None:
        assert store.best(make_record(0).task) is None
        store.append([make_record(0, measurement=Failure(FailureKind.BUILD_ERROR, "no"))])
        assert store.best(make_record(0).task) is None

    def test_best_on_a_device_leaves_other_devices_out(self, store: RecordStore) -> None:
        here = make_record(0, measurement=Timing((0.5,), 0.1))
        there = make_record(1, threads=8, measurement=Timing((0.1,), 0.1))
        store.append([here, there])
        assert store.best(here.task, here.device) == here
        assert store.best(here.task) == there
        assert store.best(here.task, make_record(0, threads=64).device) is None

    def test_a_lucky_run_does_not_win_over_a_config_measured_again(self, store: RecordStore) -> None:
        steady = make_record(0, tile=(2, 16), measurement=Timing((0.20, 0.21), 0.1))
        lucky = make_record(1, tile=(4, 8), measurement=Timing((0.10,), 0.1))
        store.append([steady, lucky])
        assert store.best(steady.task) == lucky
        store.append([make_record(2, tile=(4, 8), measurement=Timing((0.30, 0.31), 0.1))])
        best = store.best(steady.task)
        assert best == steady
        store.append([make_record(3, tile=(2, 16), measurement=Timing((0.22,), 0.1))])
        best = store.best(steady.task)
        assert best is not None
        assert best.measurement == Timing((0.20, 0.21, 0.22), 0.1)
        assert best.provenance.trial == 3
        assert len(store) == 4

    def test_the_best_of_an_earlier_job_is_beaten_only_by_what_was_faster_beside_it(
        self, store: RecordStore
    ) -> None:
        """The second job ran on a faster machine: all its times are lower, the champion's too."""
        champion = make_record(0, tile=(2, 16), measurement=Timing((1.0, 1.0, 1.0), 0.1))
        other = make_record(1, tile=(1, 32), measurement=Timing((1.1,), 0.1))
        newcomer = make_record(0, tile=(4, 8), measurement=Timing((0.92,), 0.1), job="job-2")
        store.append([champion, other, newcomer])
        assert store.best(champion.task) == newcomer, "nothing else is known"
        store.append([make_record(1, tile=(2, 16), measurement=Timing((0.9, 0.9), 0.1), job="job-2")])
        best = store.best(champion.task)
        assert best is not None
        assert best.config == champion.config
        assert best.measurement == Timing((1.0, 1.0, 1.0, 0.9, 0.9), 0.1)
        faster = make_record(2, tile=(8, 4), measurement=Timing((0.85,), 0.1), job="job-2")
        store.append([faster])
        assert store.best(champion.task) == faster

    def test_repeats_of_different_devices_and_space_versions_are_not_mixed(self, store: RecordStore) -> None:
        store.append(
            [
                make_record(0, measurement=Timing((0.2,), 0.1)),
                make_record(1, threads=8, measurement=Timing((0.9,), 0.1)),
                make_record(2, space_version="tensor_ir-2", measurement=Timing((0.9,), 0.1)),
            ]
        )
        best = store.best(make_record(0).task)
        assert best is not None
        assert best.measurement == Timing((0.2,), 0.1)

    def test_a_censored_timing_counts_only_where_there_is_no_other(self, store: RecordStore) -> None:
        censored = make_record(0, tile=(1, 32), measurement=Timing((0.1,), 0.1, censored=True))
        store.append([censored])
        assert store.best(censored.task) == censored
        whole = make_record(1, tile=(2, 16), measurement=Timing((0.2, 0.2), 0.1))
        store.append([whole])
        assert store.best(censored.task) == whole
        remeasured = make_record(2, tile=(1, 32), measurement=Timing((0.15, 0.15), 0.1))
        store.append([remeasured])
        assert store.best(censored.task) == remeasured

    @pytest.mark.parametrize("wrong_first", [True, False])
    def test_a_config_that_ever_gave_a_wrong_result_never_wins(
        self, store: RecordStore, wrong_first: bool
    ) -> None:
        wrong = make_record(0, tile=(2, 16), measurement=Failure(FailureKind.WRONG_RESULT, "off by 3"))
        fast = make_record(1, tile=(2, 16), measurement=Timing((0.1,), 0.1))
        slow = make_record(2, tile=(4, 8), measurement=Timing((0.9,), 0.1))
        store.append([wrong, fast, slow] if wrong_first else [slow, fast, wrong])
        assert store.best(slow.task) == slow

    def test_a_crash_does_not_disqualify_a_config_that_ran_before(self, store: RecordStore) -> None:
        ran = make_record(0)
        store.append([ran, make_record(1, measurement=Failure(FailureKind.DEVICE_LOST, "gone"))])
        assert store.best(ran.task) == ran

    def test_the_frame_has_one_row_per_record(self, store: RecordStore) -> None:
        assert store.to_pandas().empty
        types = store.to_pandas().dtypes
        store.append(
            [
                make_record(0, measurement=Timing((0.2, 0.1, 0.3, 0.4), 0.5), check=Check(1e-6, math.inf)),
                make_record(7, measurement=Failure(FailureKind.OUT_OF_MEMORY, "8 GiB", 0.75)),
            ]
        )
        frame = store.to_pandas()
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
        assert list(store.to_pandas().dtypes) == list(types)

    def test_records_come_back_in_the_order_in_which_they_were_stored(self, store: RecordStore) -> None:
        records = [make_record(trial, workload=("matmul", "conv2d")[trial % 2]) for trial in range(5)]
        store.append(records[:2])
        store.append(records[2:])
        assert list(store.iterate()) == records
        assert len(store) == len(records)
        assert store.damage == ()

    def test_trials_are_counted_by_task_and_device(self, store: RecordStore) -> None:
        store.append(
            [make_record(0), make_record(1), make_record(2, workload="conv2d"), make_record(3, threads=8)]
        )
        counts = store.trial_counts()
        assert [(each.task, each.device) for each in counts] == [
            (each.task, each.device)
            for each in (make_record(0), make_record(2, workload="conv2d"), make_record(3, threads=8))
        ]

    def test_an_empty_batch_changes_nothing(self, store: RecordStore) -> None:
        store.append([])
        assert len(store) == 0
        assert list(store.iterate()) == []
        assert not [*store.tasks(), *store.devices(), *store.jobs(), *store.trial_counts()]

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
    def test_an_impossible_timing_is_refused_with_its_whole_batch(
        self, store: RecordStore, measurement: Timing
    ) -> None:
        store.append([make_record(0)])
        with pytest.raises(Misuse, match=r"trial 2 of 'matmul'.*(run|build)_secs"):
            store.append([make_record(1, workload="conv2d"), make_record(2, measurement=measurement)])
        assert len(store) == 1
        store.append([make_record(1, workload="conv2d")])
        assert list(store.iterate()) == [make_record(0), make_record(1, workload="conv2d")]

    def test_a_long_message_keeps_its_start_and_its_end(self, store: RecordStore) -> None:
        message = "TVMError: " + "x" * 100_000 + " Check failed"
        store.append([make_record(0, measurement=Failure(FailureKind.BUILD_ERROR, message))])
        [read] = store.iterate()
        assert isinstance(read.measurement, Failure)
        assert len(read.measurement.message) == 2000
        assert read.measurement.message.startswith("TVMError: ")
        assert read.measurement.message.endswith("Check failed")

    def test_a_message_that_is_no_text_is_stored_all_the_same(self, store: RecordStore) -> None:
        store.append([make_record(0, measurement=Failure(FailureKind.RUN_ERROR, "bad \udc80 byte"))])
        assert len(store) == len(list(store.iterate())) == 1

    def test_nothing_is_stored_after_closing(self, store: RecordStore) -> None:
        store.append([make_record(0)])
        store.close()
        store.close()
        with pytest.raises(Misuse, match="open it again"):
            store.append([make_record(1)])
