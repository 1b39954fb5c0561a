"""The script for a machine with a GPU for minutes: wheels cut and joined, steps resumed, results brought back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gpu_run
import gpu_wheels
import pytest
from repository import ROOT

#: A transfer takes 64 MiB with the working tree.
CALL_MIB = 64


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, size in (("a", 100), ("large", (5 << 20) // 2), ("z", 300 << 10)):
        (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(bytes(byte % 251 for byte in range(size)))
    return folder


@pytest.mark.parametrize("order", [(1, 2, 3, 0), (3, 0, 2, 1)])
def test_wheels_are_cut_into_parts_and_joined_in_any_order(
    wheels: Path, tmp_path: Path, order: tuple[int, ...]
) -> None:
    parts, joined = tmp_path / "parts", tmp_path / "joined"
    assert gpu_wheels.cut(wheels, parts, 1) == 4
    for part in parts.iterdir():
        assert sum(file.stat().st_size for file in part.iterdir()) <= 1 << 20
    gpu_wheels.gather(parts / str(order[0]), joined)
    with pytest.raises(SystemExit, match="gather the other parts first: large-1"):
        gpu_wheels.install(joined, tmp_path / "site")
    for number in order[1:]:
        gpu_wheels.gather(parts / str(number), joined)
    assert {one.name: one.read_bytes() for one in joined.iterdir()} == {
        one.name: one.read_bytes() for one in wheels.iterdir()
    }


def test_a_part_of_the_default_size_travels_with_the_working_tree() -> None:
    tracked = sum(
        file.stat().st_size
        for folder in ("autotune", "benchmarks", "cost_models", "docs", "examples", "scripts", "tests")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
    assert tracked + gpu_wheels.PART_MIB * (1 << 20) < CALL_MIB << 20


def test_a_call_goes_on_where_another_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(name: str, code: str, limit_secs: float = 20.0) -> object:
        return gpu_run.Step(name, (sys.executable, "-c", code), limit_secs, needs_gpu=False)

    counted = (
        "import pathlib; p = pathlib.Path({!r}); p.write_text(p.read_text() + 'x' if p.exists() else 'x')"
    )
    planned = [
        step("broken", "raise SystemExit(3)"),
        step("endless", "import time; time.sleep(60)", 0.5),
        step("good", counted.format(str(tmp_path / "ran"))),
        step("last", "print('said')"),
    ]
    monkeypatch.setattr(gpu_run, "steps", lambda _tag, _results: planned)
    monkeypatch.setattr(gpu_run, "install", lambda _wheels, _site: None)
    # Of those that fit, the first three: the last one takes too long for this call.
    planned[-1] = step("last", "print('said')", 200.0)
    first = gpu_run.run_all(tmp_path / "wheels", tmp_path / "results", 100.0, "nvidia/nvidia-h100")
    assert {one.name: one.status for one in first} == {
        "broken": "failed",
        "endless": "too long",
        "good": "done",
        "last": "waits for the next call",
    }
    (tmp_path / "results" / "model.onnx").write_bytes(b"large")
    packed = gpu_run.pack(tmp_path / "results")
    elsewhere = tmp_path / "elsewhere"
    gpu_run.unpack(packed, elsewhere)
    assert not (elsewhere / "model.onnx").exists()
    second = gpu_run.run_all(tmp_path / "wheels", elsewhere, 300.0, "nvidia/nvidia-h100")
    assert second[0].name == "last", "what failed does not come before what was not tried"
    assert (tmp_path / "ran").read_text() == "x", "what was done is not done again"
    assert (elsewhere / "last.log").read_text() == "said\n"
    assert json.loads((elsewhere / "summary.json").read_text())[0]["status"] == "done"


def test_each_step_fits_into_one_call(tmp_path: Path) -> None:
    planned = gpu_run.steps("nvidia/nvidia-h100", tmp_path)
    assert max(one.limit_secs for one in planned) < gpu_run.CALL_SECS
    assert len({one.name for one in planned}) == len(planned)
    named = {part for one in planned for part in one.command if part.endswith(".py")}
    assert named
    for path in named:
        assert (ROOT / path).exists(), path
