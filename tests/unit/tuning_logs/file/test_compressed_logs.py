"""Logs that were compressed to be shipped are read like others, and not added to."""

import gzip

import pytest

from search_spaces.errors import Misuse
from tuning_logs import TuningLog, read_log


@pytest.fixture
def packed(tmp_path, record):
    """A log of three records, compressed by gzip."""
    plain = tmp_path / "log.jsonl"
    with TuningLog.open(plain) as log:
        log.append([record(trial) for trial in range(3)])
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return path


def test_a_compressed_log_is_read_like_any_other(packed, record):
    log = read_log(str(packed))
    assert list(log.iterate()) == [record(trial) for trial in range(3)]
    assert log.best(record(0).task) is not None
    assert [path.name for path in packed.parent.iterdir()] == [packed.name]


def test_a_compressed_log_is_not_added_to(packed):
    before = packed.read_bytes()
    with pytest.raises(Misuse, match="gunzip"):
        TuningLog.open(packed)
    assert packed.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"no gzip" + data])
def test_a_torn_or_foreign_file_is_misuse_that_names_it(packed, damage):
    packed.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(Misuse, match=packed.name):
        TuningLog.read(packed)


def test_a_file_that_unpacks_to_far_more_than_a_log_is_not_unpacked(packed):
    packed.write_bytes(gzip.compress(bytes(1 << 20)) * 40)
    with pytest.raises(Misuse, match="which is no log"):
        TuningLog.read(packed)
