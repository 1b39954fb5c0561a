"""Folders that look like the /proc and /sys of a machine with control groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

KIB = 1 << 10
GIB = 1 << 30


def fake_machine(
    root: Path, groups: str, mounts: str, files: Mapping[str, str], memory_bytes: int = 16 * GIB
) -> Path:
    """A root folder whose process is in the groups of a /proc/self/cgroup, under the mounts of a mountinfo.

    files: the texts of further files by their paths from the root.
    """
    facts = (
        f"MemTotal: {memory_bytes // KIB} kB\nMemFree: 1 kB\nMemAvailable: {memory_bytes // (2 * KIB)} kB\n"
    )
    own = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, "proc/meminfo": facts}
    for name, text in {**own, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def version_2(root: Path, group: str, files: Mapping[str, str]) -> Path:
    """A machine with control groups of version 2; files: by their paths below where the hierarchy is mounted."""
    mount = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    (root / "sys/fs/cgroup" / group.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return fake_machine(root, f"0::{group}\n", mount, _below("sys/fs/cgroup", files))


def version_1(root: Path, group: str, files: Mapping[str, str], top: str = "/") -> Path:
    """A machine with control groups of version 1, all controllers in groups of one path; top: what is mounted of each
    hierarchy."""
    lines = [
        f"3{n} 31 0:3{n} {top} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
        for n, name in enumerate(("cpu,cpuacct", "memory"))
    ]
    return fake_machine(
        root,
        f"5:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n",
        "".join(lines),
        _below("sys/fs/cgroup", files),
    )


def siblings(*cores: str) -> dict[str, str]:
    """The topology of processors, each with the list of its core's processors, as in "0-1"."""
    where = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return {where.format(number): f"{core}\n" for number, core in enumerate(cores)}


def _below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}
