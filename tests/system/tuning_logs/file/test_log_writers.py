"""One process writes at a time, and nothing that it was told is in the log is ever lost."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repository import ROOT, SUPPORT
from small_disks import mounted_disk

from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import TuningLog

JOB = SUPPORT / "appending_job.py"


def start_job(path: Path, first: int, *largest: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(JOB), str(path), str(first), *map(str, largest)]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, cwd=path.parent, env={**os.environ, "PYTHONPATH": paths}
    )


def acknowledged(output: str) -> list[int]:
    whole_lines = output[: output.rfind("\n") + 1].splitlines()
    return [int(line.split()[1]) for line in whole_lines if line.startswith("acknowledged")]


def trials(log: TuningLog) -> list[int]:
    return [record.provenance.trial for record in log.iterate()]


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.long)])
def test_no_acknowledged_record_is_lost_when_writers_are_killed(tmp_path, kills):
    path = tmp_path / "log.jsonl"
    chance = random.Random(0)
    promised: list[int] = []
    for _ in range(kills):
        first = len(TuningLog.read(path)) if path.exists() else 0
        job = start_job(path, first)
        assert job.stdout is not None
        said = job.stdout.readline()
        time.sleep(chance.uniform(0, 0.02))
        job.kill()
        rest, _ = job.communicate()
        promised += acknowledged(said + rest)
        kept = trials(TuningLog.read(path))
        assert set(promised) <= set(kept)
        assert kept == list(range(len(kept)))
    assert len(promised) >= kills
    with TuningLog.open(path) as log:
        assert set(promised) <= set(trials(log))
    assert TuningLog.read(path).damage == ()


def test_a_full_disk_stops_the_job_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "log.jsonl"
    job = start_job(path, 0, 20_000)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 0
    promised = acknowledged(output)
    assert "refused expected to add" in output
    assert "what it held before is intact" in output
    assert len(promised) > 10
    log = TuningLog.read(path)
    assert trials(log) == promised
    assert log.damage == ()
    goes_on = start_job(path, len(promised), 30_000)
    output, _ = goes_on.communicate(timeout=60)
    assert trials(TuningLog.read(path)) == promised + acknowledged(output)
    assert len(acknowledged(output)) > 5


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own that holds 128 KiB."""
    with mounted_disk(tmp_path / "disk", 128) as folder:
        yield folder


def test_a_small_file_system_that_runs_full_loses_nothing(small_disk):
    path = small_disk / "log.jsonl"
    output, _ = start_job(path, 0).communicate(timeout=60)
    promised = acknowledged(output)
    assert "No space left on device" in output
    assert "what it held before is intact" in output
    assert len(promised) > 50
    log = TuningLog.read(path)
    assert trials(log) == promised
    assert log.damage == ()


def test_a_batch_that_does_not_fit_can_be_appended_once_there_is_room(tmp_path, record, monkeypatch):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([record(0)])
        before = path.read_bytes()
        write = os.write

        def half_then_full(descriptor: int, data: bytes) -> int:
            if len(data) > 100:
                return write(descriptor, data[:100])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(os, "write", half_then_full)
            with pytest.raises(AutotuneError, match="No space left on device"):
                log.append([record(1, workload="conv2d"), record(2)])
        assert path.read_bytes() == before
        assert trials(log) == [0]
        log.append([record(1, workload="conv2d"), record(2)])
    assert trials(TuningLog.read(path)) == [0, 1, 2]


def test_a_second_writer_is_told_who_the_first_is(tmp_path, record):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as first, TuningLog.open(path) as second:
        first.append([record(0)])
        with pytest.raises(AutotuneError, match=rf"process {os.getpid()} on .*, since 20\d\d-"):
            second.append([record(1)])
        assert trials(TuningLog.read(path)) == [0]
        first.append([record(2)])
        first.close()
        second.append([record(3)])
        assert trials(second) == [0, 2, 3]
    assert trials(TuningLog.read(path)) == [0, 2, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_appending_nothing_tells_early_whether_the_log_can_be_written_to(tmp_path):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as first, TuningLog.open(path) as second:
        first.append([])
        with pytest.raises(AutotuneError, match="only writer"):
            second.append([])
    assert path.read_bytes() == b""


def test_a_second_process_is_kept_out_until_the_first_is_killed(tmp_path, record):
    path = tmp_path / "log.jsonl"
    job = start_job(path, 0)
    assert job.stdout is not None
    job.stdout.readline()
    with TuningLog.open(path) as log:
        with pytest.raises(AutotuneError, match=f"process {job.pid} on"):
            log.append([record(0)])
        assert len(TuningLog.read(path)) >= 1
        job.kill()
        job.communicate()
        log.append([record(1_000_000)])
        assert trials(log)[-1] == 1_000_000
        assert trials(log) == trials(TuningLog.read(path))


def test_an_unfinished_line_of_a_writer_at_work_is_left_to_it(tmp_path, record):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as writer:
        writer.append([record(0)])
        with path.open("ab") as file:
            file.write(b'{"schema":"1.0","kind":"rec')
        with TuningLog.open(path) as other:
            assert trials(other) == [0]
            assert other.damage == ()
        assert path.read_bytes().endswith(b'"rec')


def test_a_log_that_was_replaced_under_the_job_is_not_written_to(tmp_path, record):
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([record(0)])
        path.rename(tmp_path / "moved.jsonl")
        path.write_text("")
        with pytest.raises(AutotuneError, match="open the log again"):
            log.append([record(1)])
    assert path.read_text() == ""


def test_appending_to_what_is_only_read_or_closed_is_misuse(tmp_path, record):
    path = tmp_path / "log.jsonl"
    log = TuningLog.open(path)
    log.append([record(0)])
    log.close()
    for finished in (log, TuningLog.read(path)):
        with pytest.raises(Misuse, match="open it again"):
            finished.append([record(1)])
        assert len(finished) == 1


def test_definitions_are_written_once_per_file_and_again_only_when_they_changed(tmp_path, record):
    path = tmp_path / "log.jsonl"
    for job in ("job-1", "job-2", "job-2"):
        with TuningLog.open(path) as log:
            log.append([record(0, job=job), record(1, job=job)])
    kinds = [json.loads(line)["kind"] for line in path.read_bytes().splitlines()]
    assert kinds == ["workload", "device", "job", *["record"] * 2, "job", *["record"] * 4]
