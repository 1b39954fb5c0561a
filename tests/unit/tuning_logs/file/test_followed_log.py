"""A log that is read on while another process adds to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autotune.testing.records import make_record
from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import Failure, FailureKind, TuningLog
from tuning_logs.file.followed_log import FollowedLog


def read_on(log: FollowedLog, most_bytes: int = 1 << 20) -> None:
    """Reads until nothing whole is left."""
    before = -1.0
    while log.is_behind and log.read_share != before:
        before = log.read_share
        log.catch_up(most_bytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with TuningLog.open(tmp_path / "log.jsonl") as log:
        log.append([make_record(n, tile=(n, 4)) for n in range(50)])
    return tmp_path / "log.jsonl"


def test_a_log_is_read_a_part_at_a_time_and_says_how_much_is_left(path: Path) -> None:
    log = FollowedLog.follow(path)
    assert len(log) == 0 and log.is_behind
    log.catch_up(2000)
    some = len(log)
    assert 0 < some < 50
    assert 0 < log.read_share < 1
    read_on(log, 2000)
    assert len(log) == 50
    assert log.read_share == 1.0 and not log.is_behind
    assert list(log.iterate()) == list(TuningLog.read(path).iterate())


def test_what_is_added_is_found_and_a_line_that_is_being_written_waits(path: Path) -> None:
    log = FollowedLog.follow(path)
    read_on(log)
    with TuningLog.open(path) as writer:
        writer.append([make_record(50, tile=(50, 4))])
    last = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as raw:
        raw.write(last[:-20])
    read_on(log)
    assert len(log) == 51 and log.is_behind and log.damage == ()
    with path.open("ab") as raw:
        raw.write(last[-20:])
    read_on(log)
    assert len(log) == 52 and not log.is_behind


@pytest.mark.parametrize(
    "change", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.rename("x")]
)
def test_a_log_that_was_removed_cut_or_replaced_is_not_current(
    path: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    log = FollowedLog.follow(path)
    read_on(log)
    assert log.is_current
    change(path)
    assert not log.is_current


def test_parts_of_lines_are_those_of_the_records(path: Path) -> None:
    failure = Failure(FailureKind.RUN_ERROR, "boom")
    slow = replace(make_record(51).measurement, reference_slowdown=2.0)
    with TuningLog.open(path) as writer:
        writer.append([make_record(50, measurement=failure), make_record(51, measurement=slow)])
    log = FollowedLog.follow(path)
    read_on(log)
    records = list(log.iterate())
    assert list(log.answers(log.rows)) == [one.config.answers for one in records]
    assert list(log.messages(log.rows[-2:-1])) == ["boom"]
    assert list(log.reference_slowdowns(log.rows)) == [*50 * [1.0], 1.0, 2.0]
    path.write_bytes(path.read_bytes().replace(b"{", b"["))
    with pytest.raises(AutotuneError, match="was changed since"):
        list(log.answers(log.rows))


def test_a_followed_log_is_never_written_to(path: Path) -> None:
    before = path.read_bytes()
    log = FollowedLog.follow(path)
    read_on(log)
    with pytest.raises(Misuse, match="read only"):
        log.append([make_record()])
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["log.jsonl"]


def test_something_else_than_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("hello\n")
    with pytest.raises(Misuse, match="another kind"):
        FollowedLog.follow(tmp_path / "x.jsonl").catch_up(1 << 20)
