"""Fixture: a factory of tuning records."""

from collections.abc import Callable

import pytest

from autotune.testing.records import make_record
from tuning_logs import TuningRecord

MakeRecord = Callable[..., TuningRecord]


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """Makes a record; see `make_record`."""
    return make_record
