"""What goes into a log comes out of it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from search_spaces.config import Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import (
    Check,
    DeviceFingerprint,
    Failure,
    FailureKind,
    Job,
    Provenance,
    Timing,
    TuningLog,
    TuningRecord,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEY = st.text("0123456789abcdef", min_size=1, max_size=3)
SECS = st.floats(0, 1e9)
RUN_SECS = st.floats(0, 1e9, exclude_min=True)
DEVIATION = st.floats(0, allow_infinity=True)
FACT = st.one_of(INT64, st.floats(allow_nan=False, allow_infinity=False), TEXT, st.booleans(), st.none())
ANSWER = st.one_of(INT64, TEXT, st.lists(INT64, max_size=4).map(tuple))

WORKLOADS = st.builds(Workload, KEY, TEXT, TEXT, st.floats(0, 1e300))
TARGETS = st.sampled_from(
    ["llvm -mcpu=znver4 -num-cores=2", "cuda -arch=sm_80", "llvm", "llvm -mattr=+avx2,+fma -num-cores=8"]
).map(Target.parse)
DEVICES = st.builds(DeviceFingerprint, TEXT, st.dictionaries(TEXT, FACT, max_size=4))
JOBS = st.builds(Job, KEY, INT64, TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
TIMINGS = st.builds(Timing, st.lists(RUN_SECS, min_size=1, max_size=5).map(tuple), SECS, st.booleans())
FAILURES = st.builds(Failure, st.sampled_from(FailureKind), TEXT, SECS)
RECORDS = st.builds(
    TuningRecord,
    st.builds(TuningTask, WORKLOADS, TARGETS, st.integers(0, 2**63 - 1)),
    DEVICES,
    TEXT,
    st.lists(st.tuples(TEXT, ANSWER), max_size=4).map(lambda answers: Config(tuple(answers))),
    st.one_of(TIMINGS, FAILURES),
    st.none() | st.builds(Check, DEVIATION, DEVIATION),
    st.builds(Provenance, JOBS, st.integers(0, 2**63 - 1), TEXT),
)
BATCHES = st.lists(st.lists(RECORDS, max_size=4), max_size=4)


def write(path: Path, batches: Sequence[Sequence[TuningRecord]]) -> None:
    with TuningLog.open(path) as log:
        for batch in batches:
            log.append(batch)


@examples(100)
@given(BATCHES)
def test_records_come_back_as_they_were_in_the_same_order(batches: list[list[TuningRecord]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        with TuningLog.open(path) as log:
            for batch in batches:
                log.append(batch)
            seen_at_once = list(log.iterate())
        read = TuningLog.read(path)
    expected = [record for batch in batches for record in batch]
    assert [repr(record) for record in read.iterate()] == [repr(record) for record in expected]
    assert [repr(record) for record in seen_at_once] == [repr(record) for record in expected]
    assert read.damage == ()


@examples(50)
@given(BATCHES, BATCHES)
def test_files_put_together_are_a_log_of_both(
    first: list[list[TuningRecord]], second: list[list[TuningRecord]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, two, both = (Path(folder, name) for name in ("one", "two", "both"))
        write(one, first)
        write(two, second)
        both.write_bytes(one.read_bytes() + two.read_bytes())
        joined = TuningLog.read(both)
    expected = [record for batch in first + second for record in batch]
    assert [repr(record) for record in joined.iterate()] == [repr(record) for record in expected]
    assert joined.damage == ()


@examples(50)
@given(BATCHES, BATCHES)
def test_a_log_goes_on_where_an_earlier_job_left_it(
    first: list[list[TuningRecord]], second: list[list[TuningRecord]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        write(path, first)
        write(path, second)
        log = TuningLog.read(path)
    assert [repr(record) for record in log.iterate()] == [
        repr(record) for batch in first + second for record in batch
    ]
