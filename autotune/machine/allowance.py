"""The processors and the memory that this process may use; the standard library alone, so that boards can import it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autotune.machine.control_groups import GroupLimits, group_limits

_TOPOLOGY = "sys/devices/system/cpu/cpu{}/topology"
_KIB = 1 << 10
#: What a worker process that compiles kernels may need.
_WORKER_BYTES = 1 << 30


@dataclass(frozen=True)
class Allowance:
    """The part of a machine that a process may use.

    processors:   logical processors, by affinity; of machine_processors;
    cores:        physical cores that they belong to: fewer where some are siblings (hyperthreads) of one core;
    cpu_quota:    processors' worth of time, None where no control group limits it below the processors;
    memory_bytes: physical memory, or the limit of a control group where that is less; free_bytes: of it.
    """

    processors: tuple[int, ...]
    machine_processors: int
    cores: int
    memory_bytes: int
    free_bytes: int
    cpu_quota: float | None = None
    has_memory_limit: bool = False

    @property
    def threads(self) -> int:
        """The most threads that run all the time: one for each processor, and no more than the quota pays for."""
        if self.cpu_quota is None:
            return max(len(self.processors), 1)
        return max(math.floor(self.cpu_quota), 1)

    @property
    def compilers(self) -> int:
        """Worker processes that compile side by side without running short of memory."""
        return max(min(self.threads, self.memory_bytes // _WORKER_BYTES), 1)

    @property
    def granted(self) -> str:
        """The processors in words, as in "1.5 of 8 processors (CPU quota)"."""
        of = f"{self.machine_processors} processor{'' if self.machine_processors == 1 else 's'}"
        if self.cpu_quota is not None:
            return f"{self.cpu_quota:g} of {of} (CPU quota of its control group)"
        if len(self.processors) < self.machine_processors:
            return f"{len(self.processors)} of {of} (affinity)"
        return of

    def limiting_facts(self, threads: int) -> dict[str, int | float]:
        """Facts of a fingerprint that so many threads are slowed down by: the quota, fewer processors than threads,
        and siblings of one core that were picked from more; none on a machine of one's own."""
        facts: dict[str, int | float] = {}
        if self.cpu_quota is not None:
            facts["cpu_quota"] = round(self.cpu_quota, 3)
        if len(self.processors) < min(threads, self.machine_processors):
            facts["processors"] = len(self.processors)
        if self.cores < threads and len(self.processors) < self.machine_processors:
            facts["cores_allowed"] = self.cores
        return facts

    def notice(self, threads: int) -> str | None:
        """A sentence for the user where so many threads are more than granted, or a quota limits them."""
        count = f"{threads} thread{'' if threads == 1 else 's'}"
        if threads > self.threads:
            return (
                f"{count} are more than the {self.granted} that this process may use: they wait for each other, and "
                f"timings vary; local takes {self.threads}"
            )
        if self.cpu_quota is not None and threads == self.threads:
            return f"{count}: this process may use {self.granted}"
        return None


def read_allowance(root: Path = Path("/")) -> Allowance:
    """The allowance of this process now. root: of the folders `proc` and `sys`, elsewhere than / in tests."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return allowance_of(own, root)


def allowance_of(processors: Iterable[int], root: Path = Path("/")) -> Allowance:
    """The allowance of a process that may run on some processors, by the facts under a root folder."""
    own = tuple(sorted(processors))
    limits = group_limits(root)
    total, free = _memory(root)
    limited = limits.memory_bytes is not None and limits.memory_bytes < total
    return Allowance(
        own,
        max(os.cpu_count() or 1, len(own)),
        len({_core(root, one) for one in own}),
        min(limits.memory_bytes or total, total),
        min(free if limits.free_bytes is None else limits.free_bytes, free),
        _sensible_quota(limits, len(own)),
        limited,
    )


def _sensible_quota(limits: GroupLimits, processors: int) -> float | None:
    """The quota, None where it is no limit to a process with so many processors."""
    quota = limits.cpu_quota
    return None if quota is None or quota >= processors else quota


def _core(root: Path, processor: int) -> tuple[str, ...]:
    """The physical core of a logical processor: package and core; itself where the system does not tell."""
    folder = root / _TOPOLOGY.format(processor)
    try:
        siblings = (folder / "thread_siblings_list").read_text().strip()
    except OSError:
        siblings = ""
    return ("siblings", siblings) if siblings else ("processor", str(processor))


def _memory(root: Path) -> tuple[int, int]:
    """Physical memory and what is available of it, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = {
        words[0]: int(words[1]) for line in lines if len(words := line.split()) >= 2 and words[1].isdigit()
    }
    total = facts.get("MemTotal:", total // _KIB) * _KIB
    free = facts.get("MemAvailable:", facts.get("MemFree:", total // _KIB)) * _KIB
    return total, min(free, total)
