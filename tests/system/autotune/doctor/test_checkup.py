"""What the doctor finds, and what it says to do about it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy
import pytest

from autotune.devices.machine_state import MachineState, MachineWatch, throttles
from autotune.doctor.device import check_device, check_drift
from autotune.doctor.machine import (
    Health,
    check_compiler,
    check_folder,
    check_governors,
    check_machine,
    check_memory,
    check_pins,
    check_state,
)

pytestmark = pytest.mark.alone

QUIET = MachineState("2026-01-01T00:00:00Z", 0.0, 0.5, 3000.0, 50.0, 0)


def test_another_version_than_the_pinned_one_is_a_problem_that_pip_mends() -> None:
    right, wrong, absent = check_pins({"numpy": numpy.__version__, "pytest": "0.1", "no-such-package": "1.0"})
    assert right.health is Health.GOOD
    assert (wrong.health, wrong.remedy) == (Health.PROBLEM, "pip install 'pytest==0.1'")
    assert (absent.health, absent.found) == (Health.PROBLEM, "not installed")


def test_a_compiler_has_to_make_a_library_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_compiler("C++ compiler", "c++", ".cpp").health is Health.GOOD
    assert check_compiler("C compiler", "no-such-cc", ".c").health is Health.PROBLEM
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho out of order >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = check_compiler("C compiler", "cc", ".c")
    assert found.health is Health.PROBLEM
    assert "out of order" in found.found


def test_without_a_temporary_folder_the_doctor_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc"])
    found = {one.what: one for one in (*check_machine(tmp_path), *check_device("local?threads=1"))}
    assert found["temporary folder"].health is Health.PROBLEM
    assert "TMPDIR" in found["temporary folder"].remedy
    assert found["device local?threads=1"].health is Health.PROBLEM
    assert "temporary" in found["device local?threads=1"].found
    assert "memory" in found


def test_a_folder_that_cannot_be_written_to_is_a_problem(tmp_path: Path) -> None:
    assert check_folder("output folder", tmp_path / "not" / "yet").health is not Health.PROBLEM
    assert check_folder("output folder", Path("/proc/none")).health is Health.PROBLEM


def test_little_memory_is_a_warning_and_none_a_problem() -> None:
    found = [check_memory(gib << 30).health for gib in (8, 2, 0)]
    assert found == [Health.GOOD, Health.WARNING, Health.PROBLEM]


def test_a_clock_that_saves_power_is_a_warning(tmp_path: Path) -> None:
    assert check_governors(tmp_path).health is Health.GOOD
    governor = tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    found = check_governors(tmp_path)
    assert found.health is Health.WARNING
    assert "performance" in found.remedy


def test_a_busy_or_hot_machine_is_told() -> None:
    load, _, temperature = check_state(QUIET)
    assert (load.health, temperature.health) == (Health.GOOD, Health.GOOD)
    load, _, temperature = check_state(MachineState("", 0.8, 2.0, None, 95.0, 3))
    assert (load.health, temperature.health) == (Health.PROBLEM, Health.WARNING)


def test_an_unsteady_pace_is_told() -> None:
    found = [check_drift("", [1.0] * 16 + [slow] * 4).health for slow in (1.01, 1.3, 2.0)]
    assert found == [Health.GOOD, Health.WARNING, Health.PROBLEM]


def test_a_device_that_nobody_knows_is_a_problem() -> None:
    [found] = check_device("gopher://x")
    assert found.health is Health.PROBLEM


def test_the_whole_machine_is_looked_at(tmp_path: Path) -> None:
    found = list(check_machine(tmp_path))
    assert {one.what for one in found} >= {
        "version of apache-tvm",
        "C compiler",
        "output folder",
        "load by others",
    }
    assert all(one.remedy for one in found if one.health is not Health.GOOD)


def test_what_this_process_does_itself_is_no_load_by_others() -> None:
    watch = MachineWatch()
    while sum(range(10_000)) and watch._spent()[0] - watch._last[0] < 0.5:
        pass
    state = watch.look("now")
    # This process alone has kept one processor busy; whatever others did, that one is not theirs.
    assert state.busy_elsewhere <= (os.cpu_count() or 1) - 0.5


def test_throttling_is_counted_over_all_cores(tmp_path: Path) -> None:
    assert throttles(tmp_path) is None
    for core, count in enumerate((2, 3)):
        file = tmp_path / f"devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count"
        file.parent.mkdir(parents=True)
        file.write_text(f"{count}\n")
    assert throttles(tmp_path) == 5
