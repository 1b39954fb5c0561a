"""Logs in files, in memory and in SQLite as stores of records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotune.testing.record_store_laws import RecordStoreLaws
from tuning_logs import RecordStore, TuningLog, open_log


class TestRecordStores(RecordStoreLaws):
    @pytest.fixture(params=["file", "memory", "sqlite"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
        if request.param == "memory":
            yield TuningLog.in_memory()
            return
        address = {"file": f"{tmp_path}/log.jsonl", "sqlite": f"sqlite:///{tmp_path}/store.db"}
        with open_log(address[request.param]) as store:
            yield store
