"""Limits of control groups, read from folders that look like machines of both versions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.machine.control_groups import GroupLimits, group_limits
from tests.support.fake_machine import GIB, fake_machine, version_1, version_2


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert group_limits(tmp_path) == GroupLimits()
    assert group_limits(fake_machine(tmp_path, "", "", {})) == GroupLimits()


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000", None),
        ("max", None),
        ("", None),
        ("50000 100000", 0.5),
        ("150000 100000", 1.5),
        ("50000", 0.5),
        ("1000 1000000", 0.001),
        ("0 100000", None),
        ("-1 100000", None),
        ("100000 0", None),
        ("many 100000", None),
        ("\x00\xff", None),
    ],
)
def test_a_quota_of_version_2_may_be_fractional_or_none(
    tmp_path: Path, text: str, quota: float | None
) -> None:
    root = version_2(tmp_path, "/jobs/mine", {"jobs/mine/cpu.max": text})
    assert group_limits(root).cpu_quota == quota


@pytest.mark.parametrize(("text", "quota"), [("-1", None), ("50000", 0.5), ("250000", 2.5), ("0", None)])
def test_a_quota_of_version_1_may_be_fractional_or_none(
    tmp_path: Path, text: str, quota: float | None
) -> None:
    root = version_1(tmp_path, "/mine", {"cpu,cpuacct/mine/cpu.cfs_quota_us": text})
    assert group_limits(root).cpu_quota == quota


def test_the_period_of_version_1_counts(tmp_path: Path) -> None:
    folder = "cpu,cpuacct/mine"
    files = {f"{folder}/cpu.cfs_quota_us": "50000", f"{folder}/cpu.cfs_period_us": "25000"}
    assert group_limits(version_1(tmp_path, "/mine", files)).cpu_quota == 2.0


@given(st.lists(st.none() | st.integers(1, 400_000), min_size=1, max_size=5), st.sampled_from([1, 2]))
def test_the_least_quota_along_the_path_counts(quotas: list[int | None], version: int) -> None:
    group = "".join(f"/g{depth}" for depth in range(1, len(quotas)))
    folders = ["", *(group[1 : 3 * depth] for depth in range(1, len(quotas)))]
    with tempfile.TemporaryDirectory() as root:
        if version == 2:
            texts = {
                f"{at}/cpu.max": f"{one or 'max'} 100000" for at, one in zip(folders, quotas, strict=True)
            }
            found = group_limits(version_2(Path(root), group or "/", texts))
        else:
            texts = {
                f"cpu,cpuacct/{at}/cpu.cfs_quota_us": str(one or -1)
                for at, one in zip(folders, quotas, strict=True)
            }
            found = group_limits(version_1(Path(root), group or "/", texts))
    assert found.cpu_quota == min((one / 100_000 for one in quotas if one is not None), default=None)


@pytest.mark.parametrize(
    "group", ["/docker/abc", "/", "/elsewhere", "/docker/abc/inner", "/../outside", "/gone"]
)
def test_a_container_whose_root_is_its_group_has_the_limits_that_are_mounted(
    tmp_path: Path, group: str
) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "memory/memory.limit_in_bytes": str(GIB)}
    found = group_limits(version_1(tmp_path, group, files, top="/docker/abc"))
    assert (found.cpu_quota, found.memory_bytes) == (0.5, GIB)


def test_both_versions_at_once_are_read(tmp_path: Path) -> None:
    mounts = (
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    files = {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/unified/b/memory.max": "4096"}
    found = group_limits(fake_machine(tmp_path, "1:cpu:/a\n0::/b\n", mounts, files))
    assert (found.cpu_quota, found.memory_bytes) == (0.5, 4096)


def test_names_with_spaces_and_colons_are_found(tmp_path: Path) -> None:
    mount = r"31 23 0:28 / /sys/fs/my\040groups rw - cgroup2 cgroup2 rw" + "\n"
    files = {"sys/fs/my groups/a: b/cpu.max": "50000 100000"}
    assert group_limits(fake_machine(tmp_path, "0::/a: b\n", mount, files)).cpu_quota == 0.5


@pytest.mark.parametrize(
    "text",
    ["max", "9223372036854771712", "9223372036854775807", "18446744073709551615", "-1", "0", "", "all"],
)
@pytest.mark.parametrize("version", [1, 2])
def test_absurd_limits_of_memory_are_none(tmp_path: Path, text: str, version: int) -> None:
    if version == 2:
        root = version_2(tmp_path, "/mine", {"mine/memory.max": text})
    else:
        root = version_1(tmp_path, "/mine", {"memory/mine/memory.limit_in_bytes": text})
    assert group_limits(root).memory_bytes is None


def test_the_page_cache_is_free_memory(tmp_path: Path) -> None:
    files = {
        "mine/memory.max": str(4 * GIB),
        "mine/memory.current": str(3 * GIB),
        "mine/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\n",
        "memory.max": str(8 * GIB),
        "memory.current": str(7 * GIB + GIB // 2),
    }
    found = group_limits(version_2(tmp_path, "/mine", files))
    assert (found.memory_bytes, found.free_bytes) == (4 * GIB, GIB // 2)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_text_of_the_system_is_an_error(groups: bytes, mounts: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = fake_machine(Path(folder), "", "", {})
        (root / "proc/self/cgroup").write_bytes(b"0::/\n" + groups)
        (root / "proc/self/mountinfo").write_bytes(
            b"31 23 0:28 / /" + mounts.replace(b"\n", b" ") + b" rw - cgroup2 cgroup2 rw\n"
        )
        assert group_limits(root).cpu_quota is None
