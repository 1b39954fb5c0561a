"""What this machine is: its processor, caches and memory, and the target that fits it (imports TVM)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import psutil
from tvm.target import codegen

from search_spaces.target import Target
from tuning_logs.device_fingerprint import FingerprintValue

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_GIB = 1 << 30


def usable_cores() -> int:
    """How many logical processors this process may run on."""
    return len(os.sched_getaffinity(0))


def cpu_target(threads: int) -> Target:
    """The llvm target of this machine's processor; its triple is the compiler's own, so none is given."""
    target = Target("llvm", (("num-cores", threads),))
    cpu = str(codegen.llvm_get_system_cpu())
    return target if cpu in ("", "generic") else target.with_attr("mcpu", cpu)


def cpu_model() -> str:
    """The processor's name, as its maker calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def cpu_facts(threads: int) -> Mapping[str, FingerprintValue]:
    """The facts of a CPU's fingerprint; those that the system does not tell are None.

    memory_bytes is rounded to whole gibibytes: what a virtual machine sees differs from boot to boot.
    """
    caches = _cache_bytes()
    return {
        "cpu_model": cpu_model(),
        "isa": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": threads,
        "l1d_bytes": caches.get((1, "Data")),
        "l2_bytes": caches.get((2, "Unified")),
        "l3_bytes": caches.get((3, "Unified")),
        "memory_bytes": round(psutil.virtual_memory().total / _GIB) * _GIB,
    }


def _cache_bytes() -> dict[tuple[int, str], int]:
    found = {}
    for cache in sorted(_CACHES.glob("index*")):
        size = (cache / "size").read_text().strip()
        level, kind = int((cache / "level").read_text()), (cache / "type").read_text().strip()
        found[level, kind] = int(size.rstrip("KM")) << {"K": 10, "M": 20}.get(size[-1], 0)
    return found
