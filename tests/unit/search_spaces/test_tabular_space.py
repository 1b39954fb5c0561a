"""A recorded table as a search space: what is a decision, what is legal, what is refused."""

import gzip
from pathlib import Path

import pytest

from search_spaces.config import Config
from search_spaces.errors import IllegalSchedule, Misuse
from search_spaces.tabular_space import TabularSpace

TABLE = """block,layout,tile,status,mean_ms,median_ms,std_ms,n,cost_s
16,nhwc,1,CompilationFailedConfig,,,,0,0.5
16,nchw,1,ok,4.0,4.1,0.1,7,1.5
2,nchw,4,ok,2.0,2.1,0.1,7,2.5
2,nhwc,1,RuntimeFailedConfig,,,,0,0.75
"""


@pytest.fixture
def space(tmp_path: Path) -> TabularSpace:
    path = tmp_path / "kernel.csv"
    path.write_text(TABLE)
    return TabularSpace(path)


def config(block: int, layout: str, tile: int) -> Config:
    return Config((("block", block), ("layout", layout), ("tile", tile)))


def test_columns_before_the_status_are_decisions_with_their_values_sorted(space: TabularSpace) -> None:
    assert [(decision.name, decision.choices) for decision in space.decisions] == [
        ("block", (2, 16)),
        ("layout", ("nchw", "nhwc")),
        ("tile", (1, 4)),
    ]
    assert space.size == 8


def test_a_row_is_a_candidate_with_the_recorded_time(space: TabularSpace) -> None:
    candidate = space.apply(config(2, "nchw", 4))
    assert candidate.config == config(2, "nchw", 4)
    assert candidate.schedule.secs == pytest.approx(2e-3)
    assert candidate.schedule.cost_secs == 2.5
    assert space.best_secs == candidate.schedule.secs


def test_a_row_that_failed_is_legal_and_an_absent_row_is_not(space: TabularSpace) -> None:
    assert not space.apply(config(2, "nhwc", 1)).schedule.ran
    with pytest.raises(IllegalSchedule):
        space.apply(config(16, "nchw", 4))


def test_answering_builds_nothing_and_takes_illegal_combinations_too(space: TabularSpace) -> None:
    assert space.answer(lambda decision: len(decision.choices) - 1) == config(16, "nhwc", 4)


def test_the_default_is_the_first_row_that_ran(space: TabularSpace) -> None:
    assert space.default == config(16, "nchw", 1)


def test_the_table_lists_every_row(space: TabularSpace) -> None:
    assert len(space.table) == 4
    assert sum(outcome.ran for outcome in space.table.values()) == 2


def test_compressed_and_plain_tables_are_the_same_task(space: TabularSpace, tmp_path: Path) -> None:
    packed = tmp_path / "kernel.csv.gz"
    packed.write_bytes(gzip.compress(TABLE.encode()))
    assert TabularSpace(packed).task == space.task
    assert space.task.name == "kernel"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "found nothing"),
        ("block,mean_ms,cost_s\n1,2.0,3.0\n", "status"),
        ("status,mean_ms,cost_s\nok,2.0,3.0\n", "columns of decisions"),
        ("block,status,mean_ms,cost_s\n1,failed,,0.5\n", "at least one row"),
        ("block,status,mean_ms,cost_s\n1,ok,fast,0.5\n", "line 2"),
        ("block,status,mean_ms,cost_s\n1,ok\n", "line 2"),
        ("block,status,mean_ms,cost_s\n1,ok,nan,0.5\n", "line 2"),
        ("block,status,mean_ms,cost_s\n1,ok,inf,0.5\n", "line 2"),
        ("block,status,mean_ms,cost_s\n1,ok,-1,0.5\n", "line 2"),
        ("status,mean_ms,cost_s,block,block,status\n", "columns of decisions"),
        ("block,block,status,mean_ms,cost_s\n1,1,ok,1,0.5\n", "each once"),
        ("block,status,mean_ms,cost_s\n" + "9" * 200_000 + ",ok,1,0.5\n", "field larger"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    with pytest.raises(Misuse, match=complaint):
        TabularSpace(path)


def test_a_torn_archive_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(TABLE.encode())[:-20])
    for path in (torn, tmp_path / "missing.csv"):
        with pytest.raises(Misuse, match=r"recorded space"):
            TabularSpace(path)


def test_a_packed_table_that_is_damaged_or_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20)) * 300)
    with pytest.raises(Misuse, match="more than 256 MiB"):
        TabularSpace(path)
    damaged = bytearray(gzip.compress(TABLE.encode()))
    damaged[12:30] = bytes(18)
    path.write_bytes(damaged)
    with pytest.raises(Misuse, match="recorded space"):
        TabularSpace(path)
