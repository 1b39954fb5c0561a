"""The best record of a log, beside a search through all of its records; and what of a refused batch reaches a file."""

import math
import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from search_spaces.errors import Misuse
from tuning_logs import Failure, FailureKind, Timing, TuningLog


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
