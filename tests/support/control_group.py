"""A real control group for child processes, where this user may make one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_TOP = Path("/sys/fs/cgroup")


@contextmanager
def limited(processors: float | None = None, memory_bytes: int | None = None) -> Iterator[Callable[[], None]]:
    """A function for `preexec_fn` that puts a child into a new group with these limits; skips the test where no group
    can be made."""
    groups: list[Path] = []
    try:
        try:
            if (_TOP / "cgroup.controllers").exists():
                groups.append(_new(_TOP))
                _limit_version_2(groups[0], processors, memory_bytes)
            else:
                groups += _new_version_1(processors, memory_bytes)
        except OSError as error:
            pytest.skip(f"needs a control group of its own: {error}")
        yield lambda: [(group / "cgroup.procs").write_text(str(os.getpid())) for group in groups] and None
    finally:
        for group in groups:
            _remove(group)


def _limit_version_2(group: Path, processors: float | None, memory_bytes: int | None) -> None:
    if processors is not None:
        (group / "cpu.max").write_text(f"{round(processors * 100_000)} 100000")
    if memory_bytes is not None:
        (group / "memory.max").write_text(str(memory_bytes))


def _new_version_1(processors: float | None, memory_bytes: int | None) -> list[Path]:
    made = []
    if processors is not None:
        made.append(_new(_TOP / "cpu"))
        (made[-1] / "cpu.cfs_quota_us").write_text(str(round(processors * 100_000)))
    if memory_bytes is not None:
        made.append(_new(_TOP / "memory"))
        (made[-1] / "memory.limit_in_bytes").write_text(str(memory_bytes))
    return made


def _new(top: Path) -> Path:
    group = top / f"autotune-test-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    return group


def _remove(group: Path) -> None:
    for _ in range(100):  # a group stays busy until its last process is reaped
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
