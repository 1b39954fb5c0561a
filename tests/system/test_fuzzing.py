"""Short runs of the coverage-guided fuzzer over every reader of files that strangers may send."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import repository

# The fuzzer's limit is on its largest memory, which Linux lets begin at that of the process that starts it: pytest's
# may be gigabytes by then, a shell's is not.
FROM_A_SHELL = ("sh", "-c", '"$@"; exit $?', "sh")
#: So many inputs take some seconds for each target.
RUNS = {
    "logs": 1000,
    "cost_models": 150,
    "feature_caches": 500,
    "job_files": 500,
    "statuses": 1000,
    "tables": 1000,
    "metaschedule": 60,
    "tflite_models": 15,
}
LONG = 20


def test_every_target_is_run() -> None:
    targets = {
        path.stem
        for path in (repository.SUPPORT / "fuzz_targets").glob("*.py")
        if "def read(" in path.read_text()
    }
    assert targets == set(RUNS)


@pytest.mark.parametrize("times", [1, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.parametrize("target", RUNS)
def test_a_short_run_of_the_coverage_guided_fuzzer_finds_nothing(
    target: str, times: int, tmp_path: Path
) -> None:
    pytest.importorskip("atheris", reason="atheris, the fuzzer, is not installed: pip install atheris")
    paths = os.pathsep.join([str(repository.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    runs = times * RUNS[target]
    done = subprocess.run(
        [*FROM_A_SHELL, sys.executable, repository.SUPPORT / "fuzz.py", target, f"-runs={runs}", "-seed=7"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {runs} runs" in done.stderr
