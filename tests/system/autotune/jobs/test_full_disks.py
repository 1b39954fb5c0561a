"""Full and read-only file systems under real commands."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import mounted_disk

from autotune.testing.toy_job import SPACES, run_toy_job
from tuning_logs import TuningLog

TUNE = ("tune", "--op", "matmul:32,32,32", "--trials", "6", "--device", "local?threads=1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    with mounted_disk(tmp_path / "small", 400) as folder:
        yield folder


def autotune(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line, with variables added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "autotune.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.long
def test_a_full_disk_under_the_log_ends_tune_and_room_lets_it_go_on(small_disk: Path) -> None:
    log, filler = small_disk / "log.jsonl", small_disk / "filler"
    filler.write_bytes(bytes(392 << 10))
    done = autotune(*TUNE, "--log", log)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and str(log) in done.stderr
    assert "left alone" not in done.stderr
    assert not TuningLog.read(log).damage
    filler.unlink()
    assert autotune(*TUNE, "--log", log).returncode == 0
    assert len(TuningLog.read(log)) >= 7


def test_a_full_temporary_folder_is_no_fault_of_the_candidates(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(390 << 10))
    done = autotune(*TUNE, "--log", tmp_path / "log.jsonl", TMPDIR=str(small_disk))
    assert done.returncode == 1
    assert "full file system" in done.stderr and str(small_disk) in done.stderr
    assert len(TuningLog.read(tmp_path / "log.jsonl")) == 0


@pytest.mark.parametrize("most_bytes", [9_000, 20_001])
def test_a_log_that_may_grow_no_further_ends_a_job_with_what_was_measured(
    tmp_path: Path, most_bytes: int
) -> None:
    """As with a quota: a limit of the process."""
    program = "import sys, pathlib; from autotune.testing.toy_job import *"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; run_toy_job(pathlib.Path(sys.argv[1]), 99, 0.0)", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )
    assert done.returncode == 1 and "StorageError" in done.stderr and "File too large" in done.stderr
    log = TuningLog.read(tmp_path / "log.jsonl")
    assert not log.damage and len(log) > 0
    run_toy_job(tmp_path, 99, 0.0)
    assert len(TuningLog.read(tmp_path / "log.jsonl")) == 99 + len(SPACES)


def test_too_many_open_files_end_tune_with_a_sentence(tmp_path: Path) -> None:
    command = f"ulimit -n 40; exec {sys.executable} -m autotune.cli.main {' '.join(TUNE)}"
    command = command.replace("local?threads=1", "'local?threads=1'") + f" --log {tmp_path}/log.jsonl"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "open files" in done.stderr


def test_what_may_not_be_written_can_be_read(small_disk: Path, tmp_path: Path) -> None:
    run_toy_job(small_disk / "out", 8, 0.0)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert autotune("status", small_disk / "out").returncode == 0
    shown = autotune("log", "show", small_disk / "out" / "log.jsonl")
    assert (shown.returncode, shown.stderr) == (0, "")
    refused = autotune("tune", *TUNE[1:], "--log", small_disk / "out" / "log.jsonl")
    assert refused.returncode in (1, 2) and "Read-only" in refused.stderr
