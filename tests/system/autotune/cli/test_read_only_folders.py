"""Commands where neither the home, nor the working directory, nor the temporary folder can be written to."""

from __future__ import annotations

from pathlib import Path

import pytest
from read_only_tree import run_read_only


@pytest.mark.long
def test_a_temporary_folder_is_all_that_commands_need(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    arguments = (
        "tune",
        "--op",
        "matmul:16,16,16",
        "--trials",
        "2",
        "--device",
        "local?threads=1",
        "--log",
        log,
    )
    done = run_read_only(tmp_path, *arguments, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_without_one_a_sentence_says_how_to_name_one(tmp_path: Path) -> None:
    done = run_read_only(tmp_path, "devices", TMPDIR="/")
    assert done.returncode == 1
    assert "name a folder that can be written to with the variable TMPDIR" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
