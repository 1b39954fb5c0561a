"""Machines that only their /proc and /sys describe: quotas of both versions of control groups, and damaged files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from autotune.machine.allowance import allowance_of
from edge_inputs.attempt import Attempt


def machine_trees(kind: str) -> Iterator[Attempt]:
    """Yields machines that only their /proc and /sys describe, with the threads that 64 processors give there."""
    mount = "31 23 0:28 {} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    old = "31 23 0:28 {} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    cases: tuple[tuple[str, str, str, Mapping[str, str], int], ...] = (
        ("v2, max", "0::/a\n", mount.format("/"), {"a/cpu.max": "max 100000"}, 64),
        ("v2, half", "0::/a\n", mount.format("/"), {"a/cpu.max": "50000 100000"}, 1),
        ("v2, 2.5", "0::/a\n", mount.format("/"), {"a/cpu.max": "250000 100000"}, 2),
        ("v2, another period", "0::/a\n", mount.format("/"), {"a/cpu.max": "30000 10000"}, 3),
        (
            "v2, parent",
            "0::/p/a\n",
            mount.format("/"),
            {"p/a/cpu.max": "max", "p/cpu.max": "400000 100000"},
            4,
        ),
        ("v2, more than there is", "0::/a\n", mount.format("/"), {"a/cpu.max": "9900000 100000"}, 64),
        ("v2, container", "0::/\n", mount.format("/"), {"cpu.max": "300000 100000"}, 3),
        ("v2, host's path", "0::/kube/pod\n", mount.format("/kube/pod"), {"cpu.max": "300000 100000"}, 3),
        ("v2, outside", "0::/../../x\n", mount.format("/"), {"cpu.max": "300000 100000"}, 3),
        ("v2, rubbish", "0::/a\n", mount.format("/"), {"a/cpu.max": "lots of it"}, 64),
        ("v2, nothing", "0::/a\n", mount.format("/"), {"a/cpu.max": ""}, 64),
        ("v2, negative", "0::/a\n", mount.format("/"), {"a/cpu.max": "-1 -1"}, 64),
        ("v1, none", "4:cpu:/a\n", old.format("/"), {"cpu/a/cpu.cfs_quota_us": "-1"}, 64),
        ("v1, half", "4:cpu:/a\n", old.format("/"), {"cpu/a/cpu.cfs_quota_us": "50000"}, 1),
        ("v1, docker", "4:cpu:/d/1\n", old.format("/d/1"), {"cpu/cpu.cfs_quota_us": "200000"}, 2),
        ("v1, both names", "4:cpu,cpuacct:/a\n", old.format("/"), {"cpu/a/cpu.cfs_quota_us": "200000"}, 2),
        ("no files", "", "", {}, 64),
        ("damaged files", "::::\n\x00\n4\n", "- - -\n31\n", {}, 64),
    )
    for label, groups, mounts, files, threads in cases:

        def run(
            at: Path,
            groups: str = groups,
            mounts: str = mounts,
            files: Mapping[str, str] = files,
            threads: int = threads,
        ) -> str | None:
            texts = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
            for name, text in {
                **texts,
                **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
            }.items():
                (at / name).parent.mkdir(parents=True, exist_ok=True)
                (at / name).write_text(text)
            found = allowance_of(range(64), at).threads
            return None if found == threads else f"expected {threads} threads, found {found}"

        yield Attempt(kind, f"tree: {label}", run)
