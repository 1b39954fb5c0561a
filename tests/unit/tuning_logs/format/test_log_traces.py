"""What a sketch's trace says once, all records of the sketch have, wherever they are copied to."""

import json
import zlib
from dataclasses import replace

import pytest

from tuning_logs import Damage, TuningLog
from tuning_logs.file.compacting import compact
from tuning_logs.file.log_file import index_path
from tuning_logs.file.merging import merge


@pytest.fixture
def traced(record):
    """Makes a record with a trace; see `make_record`."""

    def make(trial, trace="how", **fields):
        return replace(record(trial, **fields), trace=trace)

    return make


def write(path, *batches):
    for batch in batches:
        with TuningLog.open(path) as log:
            log.append(batch)
    return path


def kinds(path):
    return [json.loads(line)["kind"] for line in path.read_bytes().splitlines()]


def test_a_trace_is_written_once_before_the_first_record_that_has_it(tmp_path, record, traced):
    batches = [[record(0), traced(1), traced(2)], [traced(3), traced(4, "otherwise"), record(5), traced(6)]]
    path = write(tmp_path / "log.jsonl", *batches)
    log = TuningLog.read(path)
    assert log.damage == ()
    assert list(log.iterate()) == [each for batch in batches for each in batch]
    told = [kind for kind in kinds(path) if kind in ("trace", "record")]
    assert told == ["record", "trace", "record", "record", "record", "trace", "record", "record", "record"]


def test_a_record_without_a_trace_is_the_same_line_as_before_there_were_any(tmp_path, record, traced):
    path = write(tmp_path / "log.jsonl", [record(0), traced(1)])
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [(line["kind"], line["schema"]) for line in lines] == [
        ("workload", "1.0"),
        ("device", "1.0"),
        ("job", "1.0"),
        ("record", "1.0"),
        ("trace", "1.1"),
        ("record", "1.1"),
    ]
    assert "trace" not in lines[3]


def test_what_is_best_has_its_trace(tmp_path, traced):
    log = TuningLog.read(write(tmp_path / "log.jsonl", [traced(0), traced(1)]))
    [task] = log.tasks()
    assert log.best(task).trace == "how"


def test_an_index_finds_the_traces_too(tmp_path, traced, monkeypatch):
    monkeypatch.setattr("tuning_logs.file.follower._WORTH_AN_INDEX", 1)
    path = write(tmp_path / "log.jsonl", [traced(0), traced(1, "otherwise")])
    TuningLog.read(path)
    assert index_path(path).exists()
    with monkeypatch.context() as patch:
        patch.setattr("tuning_logs.file.follower.raw_lines", lambda stream, first: iter([]))
        assert [each.trace for each in TuningLog.read(path).iterate()] == ["how", "otherwise"]
    with TuningLog.open(path) as log:
        log.append([traced(2)])
    assert kinds(path).count("trace") == 2


def test_a_merge_a_concatenation_and_a_small_log_have_them(tmp_path, traced):
    one = write(tmp_path / "one.jsonl", [traced(0), traced(1, tile=(4, 4))])
    two = write(tmp_path / "two.jsonl", [traced(2, tile=(2, 2)), traced(3, "otherwise", tile=(1, 1))])
    expected = ["how", "how", "how", "otherwise"]
    merge([one, two], tmp_path / "both.jsonl")
    assert [each.trace for each in TuningLog.read(tmp_path / "both.jsonl").iterate()] == expected
    assert kinds(tmp_path / "both.jsonl").count("trace") == 2

    cat = tmp_path / "cat.jsonl"
    cat.write_bytes(one.read_bytes() + two.read_bytes())
    assert TuningLog.read(cat).damage == ()
    assert [each.trace for each in TuningLog.read(cat).iterate()] == expected

    compact(cat, tmp_path / "small.jsonl", top=4, sample=0)
    assert [each.trace for each in TuningLog.read(tmp_path / "small.jsonl").iterate()] == expected
    assert kinds(tmp_path / "small.jsonl").count("trace") == 2


def test_a_lost_trace_costs_no_record_and_is_written_again(tmp_path, record, traced):
    path = write(tmp_path / "log.jsonl", [traced(0), traced(1)])
    path.write_bytes(path.read_bytes().replace(b'"text":"how"', b'"text":"who"'))
    log = TuningLog.read(path)
    assert list(log.iterate()) == [record(0), record(1)]
    assert log.damage == (Damage(4, "its checksum does not match its content"),)

    with TuningLog.open(path) as log:
        log.append([traced(2)])
    assert [each.trace for each in TuningLog.read(path).iterate()] == ["how"] * 3, (
        "a key means one trace only"
    )


def test_a_trace_that_its_key_does_not_fit_is_damage(tmp_path, record, traced):
    path = write(tmp_path / "log.jsonl", [traced(0)])
    lines = path.read_bytes().splitlines(keepends=True)
    head = lines[3].rpartition(b',"crc":')[0].replace(b'"text":"how"', b'"text":"who"')
    lines[3] = head + b',"crc":"%08x"}\n' % zlib.crc32(head)
    path.write_bytes(b"".join(lines))
    log = TuningLog.read(path)
    assert list(log.iterate()) == [record(0)]
    [damage] = log.damage
    assert damage.line == 4
    assert "the trace's key is" in damage.reason
