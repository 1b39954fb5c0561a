"""What a process may use of a machine: processors, cores, quota, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.machine.allowance import allowance_of, read_allowance
from tests.support.fake_machine import GIB, fake_machine, siblings, version_2

MANY = tuple(range(256))  # more than the machine of the test has


@pytest.mark.parametrize(
    ("quota", "threads", "fact"),
    [("max", 256, None), ("50000", 1, 0.5), ("150000", 1, 1.5), ("200000", 2, 2.0), ("99900000", 256, None)],
)
def test_threads_are_never_more_than_the_quota_pays_for(
    tmp_path: Path, quota: str, threads: int, fact: float | None
) -> None:
    found = allowance_of(MANY, version_2(tmp_path, "/a", {"a/cpu.max": f"{quota} 100000"}))
    assert (found.threads, found.cpu_quota) == (threads, fact)
    assert found.limiting_facts(threads) == ({} if fact is None else {"cpu_quota": fact})
    assert (found.notice(threads) is None) == (fact is None)


def test_a_quota_beyond_the_affinity_is_no_limit(tmp_path: Path) -> None:
    root = version_2(tmp_path, "/a", {"a/cpu.max": "150000 100000"})
    assert allowance_of([3], root).cpu_quota is None


def test_siblings_of_one_core_are_counted_once(tmp_path: Path) -> None:
    root = fake_machine(tmp_path, "", "", siblings("0-1", "0-1", "2,6", "3"))
    assert allowance_of(range(4), root).cores == 3
    assert allowance_of([0, 1], root).cores == 1
    assert allowance_of([7, 8], root).cores == 2


def test_more_threads_than_granted_are_told_and_filed_apart(tmp_path: Path) -> None:
    found = allowance_of([0], fake_machine(tmp_path, "", "", {}))
    assert "more than" in str(found.notice(2))
    assert found.notice(1) is None
    assert found.limiting_facts(1) == {}
    assert found.limiting_facts(2) == (
        {} if found.machine_processors == 1 else {"processors": 1, "cores_allowed": 1}
    )


def test_the_limit_of_memory_counts_where_it_is_less_than_there_is(tmp_path: Path) -> None:
    root = version_2(tmp_path, "/a", {"a/memory.max": str(2 * GIB), "a/memory.current": str(GIB)})
    found = allowance_of(MANY, root)
    assert (found.memory_bytes, found.free_bytes, found.has_memory_limit) == (2 * GIB, GIB, True)
    assert found.compilers == 2
    (root / "sys/fs/cgroup/a/memory.max").write_text(str(64 * GIB))
    found = allowance_of(MANY, root)
    assert (found.memory_bytes, found.free_bytes, found.has_memory_limit) == (16 * GIB, 8 * GIB, False)


def test_this_machine_can_be_read() -> None:
    found = read_allowance()
    assert 1 <= found.cores <= len(found.processors) <= found.machine_processors
    assert 1 <= found.threads <= len(found.processors)
    assert 0 < found.free_bytes <= found.memory_bytes
