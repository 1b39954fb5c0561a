"""Which of two builds a job leaves behind: never the slower one, never a wrong one."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from autotune.deployment.coverage import Coverage, CoverageRow, Status
from autotune.deployment.isolated_build import BuildRequest, BuildResult
from autotune.deployment.preflight import Preflight
from autotune.deployment.referee import Referee
from autotune.deployment.side_by_side import EngineLatency, ModelComparison
from autotune.devices.roofline import Roof, Roofline, bandwidth, higher, ideal
from autotune.jobs import model_builds
from autotune.jobs.job_file import ModelRequest
from autotune.jobs.model_builds import ModelBuilds, latency
from autotune.jobs.patient_log import Patience
from autotune.jobs.status import ModelStatus
from autotune.testing.toy_machine import DEVICE
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import StorageUnreachable
from tuning_logs import Check

REQUEST = ModelRequest(Path("model.onnx"), "model", ("toy",))


@dataclass(frozen=True)
class Bench:
    """A place where builds take the times given."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    mistake: str | None

    def side_by_side(self, *_arguments: object) -> ModelComparison:
        latencies = (EngineLatency("after", self.after), EngineLatency("before", self.before))
        return ModelComparison(latencies, Check(0.0, 0.0), self.mistake)


def job(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Sequence[float],
    after: Sequence[float],
    mistake: str | None = None,
) -> tuple[ModelStatus, str | None]:
    """Builds whose libraries are texts, with the latencies given."""

    def build(request: BuildRequest, _server: object) -> BuildResult:
        request.library.parent.mkdir(parents=True, exist_ok=True)
        request.library.write_text(request.library.parent.name)
        return BuildResult(coverage_of(request.library.parent.name), {})

    def check(request: BuildRequest, _threads: int, server: object, _samples: object) -> Preflight:
        build(request, server)
        return Preflight(
            coverage_of("before"), EngineLatency("model", tuple(before)), (), 1.0, Referee(()), None, {}
        )

    monkeypatch.setattr(model_builds, "build_apart", build)
    monkeypatch.setattr(model_builds, "preflight", check)
    monkeypatch.setattr(model_builds, "read_inputs", lambda *_request: ())
    status = ModelStatus(name="model", device="toy")
    made = ModelBuilds(folder, "log.jsonl", lambda _device: Bench(tuple(before), tuple(after), mistake))
    assert not made.has_before(status)
    status = made.before(REQUEST, DEVICE, status)
    assert made.has_before(status)
    return made.after(REQUEST, DEVICE, status, 10, lambda: 0.0)


def coverage_of(when: str) -> Coverage:
    """One operator, which the log has a record of only after the search."""
    found = (Status.DEFAULT_SCHEDULE, "no record") if when == "before" else (Status.TUNED, "")
    return Coverage((CoverageRow("conv2d", 1, *found, None, 1e-3, share=1.0),))


def schedules(status: ModelStatus) -> list[tuple[str, str]]:
    return [(one.status, one.reason) for one in status.operators]


def kept(status: ModelStatus) -> str:
    assert status.library is not None
    return Path(status.library).read_text()


def test_the_new_build_is_kept_where_it_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, warning = job(tmp_path, monkeypatch, [2.0, 2.1] * 20, [1.0, 1.1] * 20)
    assert (kept(status), warning) == ("after", None)
    assert schedules(status) == [("tuned", "")]


def test_the_new_build_is_kept_where_the_difference_is_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = [1.0, 1.3, 0.9, 1.1, 1.2, 0.8, 1.0, 1.15, 0.95, 1.05] * 4
    status, warning = job(tmp_path, monkeypatch, noise, noise[::-1])
    assert (kept(status), warning) == ("after", None)


def test_the_build_from_before_is_kept_where_it_is_faster_beyond_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, warning = job(tmp_path, monkeypatch, [1.0, 1.1] * 20, [2.0, 2.1] * 20)
    assert kept(status) == "before"
    assert warning is not None
    assert "faster" in warning
    assert schedules(status) == [("default schedule", "the build from before the job is faster, and is kept")]


def test_a_second_look_that_keeps_the_build_from_before_lists_its_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = job(tmp_path, monkeypatch, [2.0, 2.1] * 20, [1.0, 1.1] * 20)
    slower = ModelBuilds(tmp_path, "log.jsonl", lambda _device: Bench((1.0, 1.1) * 20, (2.0, 2.1) * 20, None))
    slower.before(REQUEST, DEVICE, first)
    second, _ = slower.after(REQUEST, DEVICE, first, 10, lambda: 0.0)
    assert [status for status, _ in schedules(second)] == ["default schedule"]


def test_a_build_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, warning = job(tmp_path, monkeypatch, [2.0] * 20, [1.0] * 20, mistake="output 0: off by one")
    assert kept(status) == "before"
    assert status.outputs_equal is False
    assert warning is not None
    assert "off by one" in warning
    assert schedules(status) == [
        ("default schedule", "the tuned build computes something else: output 0: off by one")
    ]


def test_builds_wait_for_a_log_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = job(tmp_path, monkeypatch, [2.0] * 20, [1.0] * 20)
    build, notes, away = model_builds.build_apart, list[str](), [StorageUnreachable("away")] * 2

    def unreachable_at_first(request: BuildRequest, server: ForkServer | None = None) -> BuildResult:
        if away:
            raise away.pop()
        return build(request, server)

    monkeypatch.setattr(model_builds, "build_apart", unreachable_at_first)
    patience = Patience(lambda error: notes.append(str(error)), lambda: False)
    patient = ModelBuilds(
        tmp_path, "log.jsonl", lambda _device: Bench((2.0,) * 20, (1.0,) * 20, None), patience=patience
    )
    monkeypatch.setattr(Patience, "_pause", lambda *_: None)
    patient.before(REQUEST, DEVICE, first)
    status, _ = patient.after(REQUEST, DEVICE, first, 10, lambda: 0.0)
    assert (kept(status), notes) == ("after", ["away", "away"])


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), st.text())
@example("é" * 300, "rpc://host:9190/key?target=llvm -mtriple=" + "x" * 300)
@example("a" * 200, "é" * 100)
def test_a_library_has_a_name_that_file_systems_take(name: str, device: str) -> None:
    assume(not name.startswith("."))
    builds = ModelBuilds(Path("out"), "log.jsonl")
    library = builds._library(ModelStatus(name=name, device=device), "before")
    longer = builds._library(ModelStatus(name=f"{name}é", device=device), "before")
    assert library.parent == Path("out/before") and library.suffix == ".so" and library != longer
    assert len(os.fsencode(library.name)) <= 255 - len(".status.1234567")


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV])
def test_a_file_system_without_links_gets_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def link(*_paths: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", link)
    status, _ = job(tmp_path, monkeypatch, [1.0, 1.1] * 20, [2.0, 2.1] * 20)
    assert Path(status.library or "").read_text() == "before"


def test_the_interval_of_a_median_holds_it_and_widens_with_drift() -> None:
    steady, drifting = latency([1.0, 1.01, 0.99, 1.0] * 25), latency([1.0] * 50 + [2.0] * 50)
    assert steady.low_secs <= steady.secs <= steady.high_secs < 1.02
    assert drifting.high_secs - drifting.low_secs > 0.5
    assert len(latency([1.0] * 100_000).run_secs) <= 200


def test_the_ideal_is_bound_by_whichever_takes_longer() -> None:
    roofline = Roofline(1e9, (Roof(1 << 10, 1e10), Roof(1 << 20, 1e9)))
    assert bandwidth(roofline, 1 << 9) == 1e10
    assert bandwidth(roofline, 1 << 30) == 1e9
    compute, memory = ideal(roofline, 1e6, 1 << 9), ideal(roofline, 1e3, 1 << 20)
    assert (compute.secs, compute.is_bound_by_memory) == (1e-3, False)
    assert (memory.secs, memory.is_bound_by_memory) == (pytest.approx((1 << 20) / 1e9), True)


def test_of_two_measured_rooflines_the_higher_counts() -> None:
    one = Roofline(1e9, (Roof(1 << 10, 1e10), Roof(1 << 20, 1e9)))
    other = Roofline(2e9, (Roof(1 << 10, 5e9), Roof(1 << 20, 3e9)))
    assert higher(one, other) == Roofline(2e9, (Roof(1 << 10, 1e10), Roof(1 << 20, 3e9)))
