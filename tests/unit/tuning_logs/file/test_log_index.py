"""The index beside a large log makes opening quick and changes nothing else."""

import json
import os

import pytest

from search_spaces.errors import AutotuneError
from tuning_logs import Damage, Failure, FailureKind, TuningLog
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.file.log_file import index_path
from tuning_logs.selection.improvements import improvements_of


@pytest.fixture(autouse=True)
def every_log_is_worth_an_index(monkeypatch):
    monkeypatch.setattr("tuning_logs.file.follower._WORTH_AN_INDEX", 1)


@pytest.fixture
def path(tmp_path, record):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([record(0), record(1, workload="conv2d"), record(2, threads=8, job="job-2")])
    with path.open("ab") as file:
        file.write(b"damage\n")
    with TuningLog.open(path) as log:
        log.append([record(3, measurement=Failure(FailureKind.RUN_ERROR, "boom"))])
    return path


def facts(log):
    return (
        list(log.iterate()),
        log.tasks(),
        log.devices(),
        log.jobs(),
        log.damage,
        [log.best(task) for task in log.tasks()],
        [log.where(device=device) for device in log.devices()],
    )


def test_a_log_says_the_same_with_its_index_and_without(path):
    index_path(path).unlink(missing_ok=True)
    without = facts(TuningLog.read(path))
    assert index_path(path).exists()
    assert facts(TuningLog.read(path)) == without
    assert without[4] == (Damage(10, "it is not a JSON object"),)


def test_what_was_indexed_is_not_read_again(path, monkeypatch):
    TuningLog.read(path)
    with monkeypatch.context() as patch:
        patch.setattr("tuning_logs.file.follower.raw_lines", lambda stream, first: iter([]))
        assert len(TuningLog.read(path)) == 4


def test_records_added_since_are_found(path, record):
    TuningLog.read(path)
    old = index_path(path).read_bytes()
    with TuningLog.open(path) as log:
        log.append([record(5, workload="softmax")])
    assert index_path(path).read_bytes() != old
    index_path(path).write_bytes(old)  # as of a writer that was killed
    log = TuningLog.read(path)
    assert [each.provenance.trial for each in log.iterate()] == [0, 1, 2, 3, 5]
    assert log.best(record(5, workload="softmax").task) == record(5, workload="softmax")


def test_an_index_of_another_log_is_left_alone(path, record):
    TuningLog.read(path)
    text = path.read_bytes()
    with path.open("r+b") as file:
        file.write(text.replace(b'"trial":0', b'"trial":7'))
    assert path.stat().st_size == len(text)
    log = TuningLog.read(path)
    assert len(log) == 3
    assert "checksum" in log.damage[0].reason
    os.truncate(path, len(text) - 10)
    assert len(TuningLog.read(path)) == 2


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_a_damaged_index_is_made_anew(path, place):
    index_path(path).unlink(missing_ok=True)
    without = facts(TuningLog.read(path))
    data = bytearray(index_path(path).read_bytes())
    spot = min(int(len(data) * place), len(data) - 1)
    data[spot] ^= 0xFF
    index_path(path).write_bytes(data)
    assert facts(TuningLog.read(path)) == without
    index_path(path).write_bytes(bytes(data[:spot]))
    assert facts(TuningLog.read(path)) == without


def test_an_index_that_points_outside_the_log_is_not_followed(path):
    without = facts(TuningLog.read(path))
    header, _, rows = index_path(path).read_bytes().partition(b"\n")
    for change in (
        {"lines": 0},
        {"rows": 10**15},
        {"rows": 10**15, "lines": 10**15},
        {"size": 10**15},
        {"tasks": []},
        {"definitions": [[3, 9]]},
    ):
        forged = json.dumps(json.loads(header) | change).encode()
        index_path(path).write_bytes(forged + b"\n" + rows)
        assert facts(TuningLog.read(path)) == without


def test_an_index_without_definitions_is_removed(path):
    without = facts(TuningLog.read(path))
    header, _, rows = index_path(path).read_bytes().partition(b"\n")
    index_path(path).write_bytes(json.dumps(json.loads(header) | {"definitions": []}).encode() + b"\n" + rows)
    with pytest.raises(AutotuneError, match="open the log again"):
        facts(TuningLog.read(path))
    assert not index_path(path).exists()
    assert facts(TuningLog.read(path)) == without


def test_a_folder_that_takes_no_index_does_no_harm(path):
    index_path(path).unlink(missing_ok=True)
    index_path(path).mkdir()
    assert len(TuningLog.read(path)) == 4


def test_small_logs_have_no_index(path, monkeypatch):
    index_path(path).unlink(missing_ok=True)
    monkeypatch.undo()
    TuningLog.read(path)
    assert not index_path(path).exists()


def test_a_record_overwritten_while_the_log_is_open_is_an_error(path):
    log = TuningLog.read(path)
    with path.open("r+b") as file:
        file.write(b"x" * path.stat().st_size)
    with pytest.raises(AutotuneError, match="open the log again"):
        list(log.iterate())


def followed(path):
    """The log as far as its index goes."""
    log = FollowedLog.follow(path)
    return log, len(log)


def test_a_follower_knows_a_log_that_was_not_written_to_or_grew(path, record):
    _, known = followed(path)
    assert known == 4
    old = index_path(path).read_bytes()
    with TuningLog.open(path) as log:
        log.append([record(5, workload="softmax")])
    index_path(path).write_bytes(old)
    log, known = followed(path)
    assert (known, log.is_behind) == (4, True)
    log.catch_up(1 << 20)
    assert len(log) == 5


def test_a_follower_leaves_the_index_of_a_file_put_in_its_place_or_changed_at_its_end(path, record):
    text = path.read_bytes()
    other = path.with_name("other")
    other.write_bytes(text.replace(b'"trial":0', b'"trial":7'))
    other.rename(path)
    assert followed(path)[1] == 0
    TuningLog.read(path)
    with path.open("r+b") as file:
        file.write(text + b"more\n")
    assert followed(path)[1] == 0


def test_an_index_that_led_to_a_changed_line_is_removed(path):
    log, _ = followed(path)
    row = log.rows[0]
    with path.open("r+b") as file:
        file.seek(int(row["offset"]))
        file.write(b"x" * 20)
    with pytest.raises(AutotuneError, match="open the log again"):
        log.record(row)
    assert not index_path(path).exists()
    assert len(TuningLog.read(path)) == 3


def summaries(path):
    log = FollowedLog.follow(path)
    while log.is_behind:
        log.catch_up(1 << 20)
    return log, log.summaries()


def test_summaries_say_what_the_records_say(path, record):
    log, found = summaries(path)
    subjects = dict(zip(found, log.subjects(found.values()), strict=True))
    assert list(subjects.values()) == [
        (each.task, each.device)
        for each in (record(0), record(1, workload="conv2d"), record(2, threads=8, job="job-2"))
    ]
    for pair, one in found.items():
        task, device = subjects[pair]
        records = log.where(task=task, device=device)
        best = log.best(task, device)
        assert one.records == len(records) and one.trials == len({each.config for each in records})
        assert one.best_secs == (best.secs if best else None)
        assert list(one.improvements) == improvements_of(records)


def test_summaries_of_an_index_are_kept_and_brought_up_to_date(path, record, monkeypatch):
    index_path(path).unlink(missing_ok=True)
    _, computed = summaries(path)
    with monkeypatch.context() as patch:
        patch.setattr("tuning_logs.file.contents.summaries_of", None)
        _, kept = summaries(path)
    assert kept == computed
    with TuningLog.open(path) as log:
        log.append([record(5, workload="softmax"), record(6)])
    _, grown = summaries(path)
    index_path(path).unlink()
    assert grown == summaries(path)[1]
    assert len(grown) == len(kept) + 1


@pytest.mark.parametrize(("place", "value"), [(0, 9), (1, 9), (0, -1), (5, 7)])
def test_summaries_that_are_not_of_the_rows_are_computed_anew(path, place, value):
    _, right = summaries(path)
    head, _, rows = index_path(path).read_bytes().partition(b"\n")
    header = json.loads(head)
    header["summaries"][0][place] = value
    index_path(path).write_bytes(json.dumps(header).encode() + b"\n" + rows)
    assert summaries(path)[1] == right
