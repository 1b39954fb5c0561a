"""Facts of the processor, from Linux; the standard library alone, so that boards can import it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_GIB = 1 << 30
_NAMES = ("model name", "Model", "Hardware")


def cpu_model() -> str:
    """The processor's model name, or the board's."""
    if is_emulated():
        return f"{platform.machine()} emulated"
    info = _cpuinfo()
    return next((info[name] for name in _NAMES if name in info), platform.processor() or platform.machine())


def is_emulated() -> bool:
    """Whether this process runs on a processor of another kind, in user-mode emulation."""
    return not platform.machine().startswith(("x86", "i686", "i386")) and "cpuid level" in _cpuinfo()


def cache_bytes() -> dict[tuple[int, str], int]:
    """Sizes of the first core's caches, by level and type ("Data", "Unified")."""
    found = {}
    for cache in sorted(_CACHES.glob("index*")):
        size = (cache / "size").read_text().strip()
        level, kind = int((cache / "level").read_text()), (cache / "type").read_text().strip()
        found[level, kind] = int(size.rstrip("KM")) << {"K": 10, "M": 20}.get(size[-1], 0)
    return found


def memory_bytes() -> int:
    """Physical memory, rounded to whole gibibytes, as a virtual machine's differs from boot to boot."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB) * _GIB


def _cpuinfo() -> dict[str, str]:
    if not _CPUINFO.exists():
        return {}
    pairs = (line.partition(":") for line in _CPUINFO.read_text().splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}
