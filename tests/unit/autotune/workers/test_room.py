"""Folders for temporary files: TVM takes paths of any text, and none of other bytes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotune.workers.room import scratch_folder
from search_spaces.errors import StorageError

#: Names that file systems take.
NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {b"/", b"\0"} & {bytes([one]) for one in name} and name not in (b".", b"..")
)


@given(name=NAMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_folder_whose_path_is_no_text_is_refused(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / os.fsdecode(name)
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    try:
        name.decode()
    except UnicodeDecodeError:
        with pytest.raises(StorageError, match="whose path is UTF-8") as raised:
            scratch_folder("a-")
        assert raised.value.code == "AT803"
    else:
        with scratch_folder("a-") as folder:
            assert Path(folder).parent == temporary
    assert not list(temporary.iterdir())
