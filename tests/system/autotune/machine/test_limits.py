"""Real control groups and affinities, as a child process finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import pytest

from tests.support.control_group import limited

_TWO = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
_PROGRAM = """
import json
from autotune.builders.local_builder import LocalBuilder
from autotune.deployment.kernel_pool import threads_within_quota, usable_threads
from autotune.devices.device import local_device
from autotune.machine.allowance import read_allowance
device, both = local_device(), local_device(2)
builder = LocalBuilder()
workers = len(builder.pids)
builder.close()
print(json.dumps({
    "threads": device.threads, "facts": dict(device.fingerprint.facts), "notice": device.notice, "workers": workers,
    "loaded": threads_within_quota(usable_threads(2)), "memory": read_allowance().memory_bytes,
    "explicit": both.threads, "explicit_facts": dict(both.fingerprint.facts), "explicit_notice": both.notice,
}))
"""


def found_by(enter: Callable[[], None]) -> dict[str, Any]:
    """What a child finds that calls `enter` first."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], preexec_fn=enter, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@_TWO
@pytest.mark.parametrize("quota", [0.5, 1.5])
def test_a_quota_decides_threads_and_workers_and_is_a_fact(quota: float) -> None:
    with limited(processors=quota) as enter:
        found = found_by(enter)
    assert (found["threads"], found["workers"], found["loaded"]) == (1, 1, 1)
    assert found["facts"]["cpu_quota"] == quota
    assert f"{quota} of" in found["notice"]
    assert found["explicit"] == 2
    assert "more than" in found["explicit_notice"]


@_TWO
def test_an_affinity_decides_threads_and_workers() -> None:
    own: Set[int] = os.sched_getaffinity(0)
    found = found_by(lambda: os.sched_setaffinity(0, {min(own)}))
    assert (found["threads"], found["workers"], found["loaded"], found["notice"]) == (1, 1, 1, None)
    assert "cpu_quota" not in found["facts"]
    assert "processors" not in found["facts"]
    assert (found["explicit"], found["explicit_facts"]["processors"]) == (2, 1)
    assert "more than" in found["explicit_notice"]


def test_a_limit_of_memory_is_found() -> None:
    with limited(memory_bytes=1 << 30) as enter:
        found = found_by(enter)
    assert (found["memory"], found["workers"]) == (1 << 30, 1)


def test_the_doctor_finds_all_limits(tmp_path: Path) -> None:
    with limited(processors=0.5, memory_bytes=3 << 30) as enter:
        done = subprocess.run(
            [sys.executable, "-m", "autotune.cli.main", "doctor", "--json"],
            preexec_fn=enter,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
        )
    findings = {one["what"]: one for one in json.loads(done.stdout)}
    assert "0.5 processors" in findings["CPU quota"]["found"]
    assert "3.0 GiB" in findings["memory limit"]["found"]
    assert findings.keys() >= {"affinity", "SMT siblings", "load by others"}
    assert all(one["remedy"] for one in findings.values() if one["health"] != "good")
