"""A job whose log takes longer to open than a page may wait."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from autotune.service.watch import job_reader
from autotune.service.watch.job_place import find_job
from autotune.service.watch.job_reader import JobReader
from autotune.testing.records import make_record
from tuning_logs import TuningLog


def test_the_first_facts_do_not_wait_for_a_large_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([make_record(number) for number in range(5)])
    may_open, is_opened, opened = threading.Event(), threading.Event(), job_reader._opened

    def slow(log_path: Path) -> object:
        assert may_open.wait(20)
        found = opened(log_path)
        is_opened.set()
        return found

    monkeypatch.setattr(job_reader, "_opened", slow)
    monkeypatch.setattr(job_reader, "_LEAST_SECS", 0.0)
    reader = JobReader(find_job(path))
    facts = reader.facts()
    assert (facts.log.read_share, facts.log.trouble, reader.is_behind) == (0.0, None, True)
    version = reader.version
    may_open.set()
    assert is_opened.wait(20)
    facts = reader.facts()
    assert (facts.log.read_share, facts.log.records, reader.is_behind) == (1.0, 5, False)
    assert reader.version > version


def test_a_log_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("no log\n" * 3)
    reader = JobReader(find_job(path))
    assert reader.facts().log.trouble
    assert not reader.is_behind
