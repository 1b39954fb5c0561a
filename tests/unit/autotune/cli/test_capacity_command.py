"""`autotune capacity` with a study of a simulated target."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from simulated_target import SimulatedTarget

from autotune.cli.commands import capacity as command
from autotune.cli.main import app
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.study import StudySettings, study
from autotune.throughput.study_result import Subject, capacity_result


@pytest.fixture(autouse=True)
def result(monkeypatch: pytest.MonkeyPatch) -> CapacityResult:
    settings = StudySettings(0.02, 200.0, 2)
    subject = Subject("net.so", "a processor", "local", 0.36, "calls", ("a notice",))
    found = capacity_result(study(SimulatedTarget(), settings, lambda _: None), settings, subject, 1.0)
    monkeypatch.setattr(command, "find_capacity", lambda *_: found)
    return found


def test_the_command_prints_and_writes_one_document(
    result: CapacityResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "capacity.json"
    app(["capacity", "net.so", "--p99-ms", "20", "--json", "-o", str(written)], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(written.read_text())
    assert msgspec.json.decode(written.read_bytes(), type=CapacityResult) == result
    assert document["dollars_per_million"] == pytest.approx(100 / result.throughput_per_second)


def test_the_answer_says_what_it_holds_for(
    result: CapacityResult, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["capacity", "net.so", "--p99-ms", "20"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "Served by calls" in printed
    assert f"{result.throughput_per_second:.4g} requests a second hold p99" in printed
    assert "dollars per million requests" in printed
