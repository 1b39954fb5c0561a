"""MetaSchedule databases of strangers are read in a process of their own, which they may bring down."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
import repository

from autotune.deployment.isolated_import import import_apart
from search_spaces import Misuse
from tuning_logs import DeviceFingerprint

WHOLE = repository.GOLDEN / "metaschedule_matmul"
HERE = DeviceFingerprint("here", {"cores": 2})


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WHOLE, tmp_path / "database"))


def test_a_whole_database_comes_back_as_records(database: Path) -> None:
    assert len(import_apart(database, HERE).records) == 8


def test_a_database_that_brings_tvm_down_is_misuse(database: Path) -> None:
    path = database / "database_workload.json"
    digest, text = json.loads(path.read_text().splitlines()[0])
    data = base64.b64decode(text)
    document = json.loads(data[8:])
    # A circle: TVM's reader does not end, or runs out of stack.
    next(node for node in document["nodes"] if node["type"] == "ffi.Array")["data"] = [
        len(document["nodes"]) - 1
    ]
    forged = json.dumps(document).encode()
    packed = base64.b64encode(len(forged).to_bytes(8, "little") + forged).decode()
    path.write_text(json.dumps([digest, packed]) + "\n")
    with pytest.raises(Misuse, match=r"that TVM can read in .*database, found: the process was killed"):
        import_apart(database, HERE)


def test_a_folder_without_a_database_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="found none"):
        import_apart(tmp_path, HERE)
