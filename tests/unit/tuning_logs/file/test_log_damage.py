"""Whatever happened to a log file, all of it that is still there is read, and the rest is named."""

import json
import tracemalloc
import zlib
from pathlib import Path

import pytest

from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import TuningLog
from tuning_logs.file.contents import MOST_REPORTED


@pytest.fixture
def path(tmp_path, record) -> Path:
    """A log of three records on lines 4, 5 and 6, after a workload, a device and a job."""
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([record(0), record(1), record(2)])
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def trials(log: TuningLog) -> list[int]:
    return [record.provenance.trial for record in log.iterate()]


def sealed(fields: dict) -> bytes:
    """A line with a true checksum, whatever it says."""
    head = json.dumps({name: value for name, value in fields.items() if name != "crc"}, separators=(",", ":"))
    return with_crc(head.encode())


def with_crc(text: bytes) -> bytes:
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text[:-1])


def test_a_log_cut_at_any_byte_loses_at_most_the_record_that_was_cut(path, record):
    whole = path.read_bytes()
    lines = lines_of(path)
    start = len(b"".join(lines[:4]))
    for cut in range(start, len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = whole[: cut + 1].count(b"\n") - 3  # a record that lacks only its newline is whole
        torn = cut > len(b"".join(lines[: kept + 3]))
        assert trials(TuningLog.read(path)) == list(range(kept))
        with TuningLog.open(path) as log:
            assert trials(log) == list(range(kept))
            assert [damage.line for damage in log.damage] == ([kept + 4] if torn else [])
            if cut % 5 == 0:
                log.append([record(9)])
        again = TuningLog.read(path)
        assert trials(again) == [*range(kept), *([9] if cut % 5 == 0 else [])]
        assert again.damage == ()


def test_a_log_cut_anywhere_opens(path):
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with TuningLog.open(path) as log:
            assert trials(log) == list(range(max(0, whole[: cut + 1].count(b"\n") - 3)))
        assert whole.startswith(path.read_bytes())


def test_a_cut_log_is_reported_but_left_alone_by_readers(path):
    cut = path.read_bytes()[:-10]
    path.write_bytes(cut)
    log = TuningLog.read(path)
    assert [damage.line for damage in log.damage] == [6]
    assert "cut off" in str(log.damage[0])
    assert path.read_bytes() == cut


def test_a_flipped_bit_costs_one_line_and_is_named(path):
    lines = lines_of(path)
    for position in range(0, len(lines[4]) - 1, 5):
        damaged = bytearray(lines[4])
        damaged[position] ^= 0x04
        if b"\n" in damaged[:-1]:
            continue
        path.write_bytes(b"".join([*lines[:4], bytes(damaged), lines[5]]))
        log = TuningLog.read(path)
        assert trials(log) == [0, 2]
        assert [damage.line for damage in log.damage] == [5]


def test_a_log_put_behind_a_cut_one_loses_only_the_cut_line(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + whole)
    log = TuningLog.read(path)
    assert trials(log) == [0, 1, 0, 1, 2]
    assert [damage.line for damage in log.damage] == [6]


@pytest.mark.parametrize(("line", "noun"), [(0, "workload"), (1, "device"), (2, "job")])
def test_records_whose_definition_is_missing_are_reported(path, line, noun, record):
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))
    log = TuningLog.open(path)
    assert trials(log) == []
    assert len(log.damage) == 3
    assert all(f"refers to the {noun}" in damage.reason for damage in log.damage)
    log.append([record(8)])
    log.close()
    assert trials(TuningLog.read(path)) == [8]


def test_a_device_whose_key_is_not_the_digest_of_its_facts_is_damage(path):
    lines = lines_of(path)
    device = json.loads(lines[1])
    device["facts"]["threads"] = 64
    path.write_bytes(b"".join([lines[0], sealed(device), *lines[2:]]))
    log = TuningLog.read(path)
    assert log.damage[0].line == 2
    assert "digest" in log.damage[0].reason


HOSTILE_LINES = {
    "no JSON": b"hello\n",
    "no object": with_crc(b"[]"),
    "no checksum": b'{"schema":"1.0","kind":"record"}\n',
    "wrong checksum": b'{"schema":"1.0","kind":"record","crc":"00000000"}\n',
    "only a checksum": b',"crc":"00000000"}\n',
    "invalid UTF-8": b'{"schema":"1.0","kind":"rec\xff\xfe"}\n',
    "invalid UTF-8, true checksum": with_crc(b'{"schema":"1.0","kind":"rec\xff\xfe"}'),
    "binary": bytes(value for value in range(256) if value != 10) + b"\n",
    "deep nesting": with_crc(
        b'{"schema":"1.0","kind":"record","x":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
    ),
    "deep nesting, unfinished": with_crc(b'{"schema":"1.0","x":' + b'{"a":' * 100_000),
    "unknown kind": with_crc(b'{"schema":"1.0","kind":"surprise"}'),
    "no schema": with_crc(b'{"kind":"record"}'),
    "odd schema": with_crc(b'{"schema":"one","kind":"record"}'),
    "long schema": with_crc(b'{"schema":"' + b"9" * 10_000 + b'.0","kind":"record"}'),
    "empty object": with_crc(b"{}"),
    "lone surrogate": with_crc(b'{"schema":"1.0","kind":"job","id":"\\ud800"}'),
}


@pytest.mark.parametrize("hostile", HOSTILE_LINES.values(), ids=HOSTILE_LINES.keys())
def test_a_hostile_line_is_damage_with_its_number_and_a_reason(path, hostile):
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:4], hostile, *lines[4:]]))
    log = TuningLog.read(path)
    assert trials(log) == [0, 1, 2]
    assert [damage.line for damage in log.damage] == [5]
    assert log.damage[0].reason


def changed(line: bytes, **fields: object) -> bytes:
    return sealed({**json.loads(line), **fields})


TIMING = {"status": "ok", "run_secs": [0.1], "build_secs": 0.1, "censored": False}
HOSTILE_FIELDS = {
    "negative timing": {"measurement": {**TIMING, "run_secs": [-1.0]}},
    "no timing": {"measurement": {**TIMING, "run_secs": []}},
    "zero timing": {"measurement": {**TIMING, "run_secs": [0]}},
    "text for a timing": {"measurement": {**TIMING, "run_secs": ["fast"]}},
    "truth for a timing": {"measurement": {**TIMING, "run_secs": [True]}},
    "null for a timing": {"measurement": {**TIMING, "run_secs": [None]}},
    "NaN": {"measurement": {**TIMING, "run_secs": [float("nan")]}},
    "Infinity": {"measurement": {**TIMING, "run_secs": [float("inf")]}},
    "age of the universe": {"measurement": {**TIMING, "run_secs": [4.4e17]}},
    "other status": {"measurement": {**TIMING, "status": "great"}},
    "other failure": {"measurement": {"status": "failed", "failure": "luck", "message": "", "build_secs": 0}},
    "endless message": {
        "measurement": {"status": "failed", "failure": "run_error", "message": "x" * 2001, "build_secs": 0}
    },
    "config of objects": {"config": [["tile", {"a": 1}]]},
    "config of fractions": {"config": [["tile", 1.5]]},
    "config of truths": {"config": [["tile", True]]},
    "config of huge numbers": {"config": [["tile", 10**400]]},
    "config of deep lists": {"config": [["tile", [[1]]]]},
    "config without names": {"config": [[1, 1]]},
    "negative trial": {"trial": -1},
    "huge trial": {"trial": 10**30},
    "negative error": {"check": {"max_abs_error": -1.0, "max_rel_error": 0.0}},
    "odd error": {"check": {"max_abs_error": "big", "max_rel_error": 0.0}},
    "target that is none": {"target": "LLVM -mcpu"},
    "target of many digits": {"target": "llvm -num-cores=" + "9" * 1900},
    "endless target": {"target": "llvm -mcpu=" + "x" * 5000},
    "missing field": {"task": None},
    "line of 2 MiB": {"time": "", "config": [["tile", [1] * (1 << 20)]]},
}


@pytest.mark.parametrize("fields", HOSTILE_FIELDS.values(), ids=HOSTILE_FIELDS.keys())
def test_a_hostile_field_is_damage_with_its_number_and_a_reason(path, fields):
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:4], changed(lines[4], **fields), *lines[5:]]))
    log = TuningLog.read(path)
    if fields is HOSTILE_FIELDS["target of many digits"]:  # unlikely, but a number
        assert trials(log) == [0, 1, 2]
        return
    assert trials(log) == [0, 2]
    assert [damage.line for damage in log.damage] == [5]
    assert log.damage[0].reason


def test_a_line_longer_than_any_line_is_skipped_in_bounded_memory(path):
    lines = lines_of(path)
    with path.open("wb") as file:
        file.writelines(lines[:4])
        file.write(b'{"schema":"1.0","kind":"')
        for _ in range(200):
            file.write(b"x" * (1 << 20))
        file.write(b"\n")
        file.writelines(lines[4:])
    tracemalloc.start()
    log = TuningLog.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert trials(log) == [0, 1, 2]
    assert [damage.line for damage in log.damage] == [5]
    assert peak < 160 << 20


def test_a_file_of_nothing_but_damage_does_not_fill_the_memory_with_reports(path):
    path.write_bytes(path.read_bytes() + b"x\n" * (MOST_REPORTED + 500))
    log = TuningLog.read(path)
    assert trials(log) == [0, 1, 2]
    assert len(log.damage) == MOST_REPORTED
    assert "500 more" in str(log.damage[-1])


def test_unknown_fields_and_kinds_of_a_newer_minor_version_are_left_alone(path, record):
    lines = lines_of(path)
    newer = changed(lines[4], schema="1.7", energy_joules=3.5, later={"nested": [1, 2]})
    surprise = with_crc(b'{"schema":"1.7","kind":"surprise","of":"a later version"}')
    path.write_bytes(b"".join([*lines[:4], newer, surprise, *lines[5:]]))
    with TuningLog.open(path) as log:
        assert trials(log) == [0, 1, 2]
        assert log.damage == ()
        log.append([record(3)])
    assert path.read_bytes().startswith(b"".join([*lines[:4], newer, surprise, *lines[5:]]))


@pytest.mark.parametrize("opened", [TuningLog.open, TuningLog.read])
def test_a_newer_major_version_is_refused_and_nothing_is_changed(path, opened):
    content = path.read_bytes() + sealed({"schema": "2.0", "kind": "record", "all": "new"}) + b'{"sch'
    path.write_bytes(content)
    with pytest.raises(AutotuneError, match=r"schema 1\.x, found schema 2\.0 in line 7 of .*newer version"):
        opened(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"\x08\x07ONNX\x00", b"# Readme\n\nhello\n", b'{"workload": 1}\n', b"[1,2]", b"\x00" * 5000]
)
@pytest.mark.parametrize("opened", [TuningLog.open, TuningLog.read])
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path, content, opened):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(Misuse, match="file of another kind"):
        opened(path)
    assert path.read_bytes() == content


def test_line_ends_of_other_systems_and_blank_lines_are_no_damage(path):
    path.write_bytes(b"\n" + path.read_bytes().replace(b"\n", b"\r\n") + b"\n\n")
    log = TuningLog.read(path)
    assert trials(log) == [0, 1, 2]
    assert log.damage == ()


def test_a_path_that_cannot_hold_a_log_is_refused(tmp_path):
    with pytest.raises(Misuse, match=r"no\.jsonl"):
        TuningLog.read(tmp_path / "no.jsonl")
    for opened in (TuningLog.open, TuningLog.read):
        with pytest.raises(Misuse, match="name another file"):
            opened(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misuse, match="name another file"):
        TuningLog.open(tmp_path / "file" / "log.jsonl")
    assert not (tmp_path / "no.jsonl").exists()


def test_a_log_is_created_with_the_folders_it_is_in(tmp_path, record):
    path = tmp_path / "logs" / "deep" / "log.jsonl"
    with TuningLog.open(path) as log:
        assert len(log) == 0
        assert log.path == path
        log.append([record(0)])
    assert sorted(file.name for file in path.parent.iterdir()) == ["log.jsonl"]
