"""A cache of features is a convenience: what is wrong with it is computed again, never believed."""

from pathlib import Path

import numpy as np
import pytest

from cost_models.features.feature_cache import KEY_BYTES, FeatureCache

COLUMNS = ("a", "b", "c")
KEYS = [bytes([number]) * KEY_BYTES for number in range(4)]
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def written(path: Path) -> Path:
    FeatureCache(path, 1, COLUMNS).keep(KEYS, ROWS)
    return path


def test_rows_are_found_by_key_in_any_order(tmp_path: Path) -> None:
    cache = FeatureCache(written(tmp_path / "cache"), 1, COLUMNS)
    rows, known = cache.find([KEYS[2], b"x" * KEY_BYTES, KEYS[0]])
    assert known.tolist() == [True, False, True]
    assert rows[0].tolist() == ROWS[2].tolist()
    assert np.isnan(rows[1]).all()
    assert rows[2].tolist() == ROWS[0].tolist()


def test_missing_values_survive(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[1, 1] = np.nan
    FeatureCache(tmp_path / "cache", 1, COLUMNS).keep(KEYS, rows)
    assert np.array_equal(FeatureCache(tmp_path / "cache", 1, COLUMNS).find(KEYS)[0], rows, equal_nan=True)


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_changed_byte_empties_it(tmp_path: Path, place: int) -> None:
    path = written(tmp_path / "cache")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert len(FeatureCache(path, 1, COLUMNS)) == 0


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", b"\xff\xfe\n", b'{"version":1}\nabc'])
def test_what_is_no_cache_counts_as_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cache"
    path.write_bytes(data)
    assert len(FeatureCache(path, 1, COLUMNS)) == 0


def test_a_torn_file_counts_as_empty(tmp_path: Path) -> None:
    path = written(tmp_path / "cache")
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert len(FeatureCache(path, 1, COLUMNS)) == 0


def test_other_versions_and_other_columns_count_as_empty(tmp_path: Path) -> None:
    path = written(tmp_path / "cache")
    assert len(FeatureCache(path, 2, COLUMNS)) == 0
    assert len(FeatureCache(path, 1, ("a", "b", "d"))) == 0
    assert len(FeatureCache(path, 1, COLUMNS)) == 4


def test_a_folder_that_takes_no_file_is_no_error(tmp_path: Path) -> None:
    FeatureCache(tmp_path / "nowhere" / "cache", 1, COLUMNS).keep(KEYS, ROWS)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "header", ["[" * 100_000, '{"version":1,"x":' + "[" * 100_000, '{"rows":-1}', "\xff"]
)
def test_a_forged_header_empties_it(tmp_path: Path, header: str) -> None:
    path = written(tmp_path / "cache")
    path.write_bytes(header.encode("latin-1") + b"\n" + path.read_bytes().partition(b"\n")[2])
    assert len(FeatureCache(path, 1, COLUMNS)) == 0


def test_infinite_features_are_none(tmp_path: Path) -> None:
    FeatureCache(tmp_path / "cache", 1, COLUMNS).keep(KEYS, np.full((4, 3), np.inf, dtype=np.float32))
    assert len(FeatureCache(tmp_path / "cache", 1, COLUMNS)) == 0
