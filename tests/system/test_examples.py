"""The examples run as a reader would run them, each in a process of its own, and print what they found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

EXAMPLES = ROOT / "examples"
# Files of the folder that other tests, benchmarks and the Makefile use.
FIXTURES = {"seeded_weights.py", "trained_models.py"}
# One thread: a busy machine would have its second one refused, which is tested elsewhere.
HERE = ("--device", "local?threads=1")

#: What each is run with, and a pattern of the last line that it prints.
RUNS = {
    "optuna_study.py": (("--trials", "12"), r"random: \d+\.\d+ cycles with \{.*\}"),
    "own_sampler.py": (("--trials", "4", *HERE), r" *\d+ records, best of the round \d+\.\d+ µs"),
    "reuse_log.py": (("--trials", "4", *HERE), r"\d+ records; outputs are right"),
    "train_cost_model.py": (("--trials", "8", *HERE), r"pairs ordered rightly, by way: \{.*\}"),
    "tune_matmul.py": (
        ("--size", "64", "--trials", "4", *HERE),
        r"matmul:64,64,64: \d+\.\d µs, .* GFLOP/s, .*",
    ),
    "tune_onnx.py": (("--trials", "4", *HERE), r"tuned: \d+\.\d µs"),
}


def test_every_example_is_run_and_listed() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert files - FIXTURES == set(RUNS)
    listed = set(re.findall(r"^\| `(\w+\.py)`", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE))
    assert listed == set(RUNS)
    shown = re.findall(
        r'^--8<-- "examples/(\w+\.py)"', (ROOT / "docs/examples.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(shown) == sorted(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_an_example_runs_and_prints_its_result(name: str, tmp_path: Path) -> None:
    arguments, last_line = RUNS[name]
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(last_line, done.stdout.splitlines()[-1]), done.stdout
    assert not list(tmp_path.iterdir()), "an example leaves files where it was started"


@pytest.mark.parametrize("name", RUNS)
def test_an_example_is_short_and_says_what_it_is(name: str) -> None:
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    assert 15 <= len(lines) <= 50
    assert lines[0].startswith('"""')
    assert f"python examples/{name}" in "\n".join(lines[:6])
