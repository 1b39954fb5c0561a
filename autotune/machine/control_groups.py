"""Limits of this process's control groups (Linux, versions 1 and 2); the standard library alone, for boards as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ESCAPE = re.compile(r"\\([0-7]{3})")
_DEFAULT_PERIOD_USECS = 100_000
# Version 1 writes "no limit" as the largest multiple of a page that fits into 64 bits.
_NO_LIMIT_BYTES = 1 << 62


@dataclass(frozen=True)
class GroupLimits:
    """The least of the limits of a process's groups and of all their parents; None where there is none.

    cpu_quota:    processors' worth of time, as in 0.5 or 2.0;
    memory_bytes: of all processes of the group; free_bytes: what is left of it, the page cache not counted as used.
    """

    cpu_quota: float | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None


@dataclass(frozen=True)
class _Mount:
    """A line of mountinfo: the folder of the hierarchy that is mounted, where, and of which controllers."""

    top: str
    point: str
    version: int
    controllers: tuple[str, ...]


def group_limits(root: Path = Path("/")) -> GroupLimits:
    """The limits of this process, from `proc/self` and the mounted hierarchies under a root folder.

    What cannot be read, or says nothing sensible, is no limit.
    """
    quotas: list[float] = []
    memories: list[tuple[int, int]] = []
    for controller in ("cpu", "memory"):
        for group, version in _groups(root, controller):
            if controller == "cpu":
                quotas += [one for one in (_quota(group, version),) if one is not None]
            else:
                memories += [one for one in (_memory(group, version),) if one is not None]
    return GroupLimits(
        min(quotas, default=None),
        min((limit for limit, _ in memories), default=None),
        min((free for _, free in memories), default=None),
    )


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of this process's groups with a controller, up to where each hierarchy is mounted."""
    paths = _paths(root)
    for mount in _mounts(root):
        key = "" if mount.version == 2 else controller
        if key not in paths or (mount.version == 1 and controller not in mount.controllers):
            continue
        point = root / mount.point.lstrip("/")
        inside = _below(paths[key], mount.top)
        for folder in (inside, *inside.parents):
            if (point / folder).is_dir():
                yield point / folder, mount.version


def _below(path: str, top: str) -> PurePosixPath:
    """A group's path relative to the mounted folder; the mounted folder itself where the group is not inside it, as
    in a container that sees its own group alone."""
    if ".." in PurePosixPath(path).parts:
        return PurePosixPath()
    if top != "/" and not PurePosixPath(path).is_relative_to(top):
        return PurePosixPath(path.lstrip("/")) if ".." in PurePosixPath(top).parts else PurePosixPath()
    return PurePosixPath(path).relative_to(top) if path.startswith("/") else PurePosixPath()


def _paths(root: Path) -> dict[str, str]:
    """The path of this process's group by controller, that of version 2 under an empty name."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and number.isdigit():
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _lines(root / "proc/self/mountinfo"):
        before, dash, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if dash and len(fields) >= 5 and len(kind) >= 3 and kind[0] in ("cgroup", "cgroup2"):
            version = 2 if kind[0] == "cgroup2" else 1
            yield _Mount(_unescaped(fields[3]), _unescaped(fields[4]), version, tuple(kind[2].split(",")))


def _unescaped(text: str) -> str:
    """A path of mountinfo, which writes spaces and the like as octal escapes of bytes."""
    raw = _ESCAPE.sub(lambda found: chr(int(found[1], 8) & 0xFF), text)
    return raw.encode("latin-1", "ignore").decode("utf-8", "replace") if raw != text else text


def _quota(group: Path, version: int) -> float | None:
    if version == 2:
        words = _words(group / "cpu.max")
        quota, period = _number(words[:1]), _number(words[1:2])
    else:
        quota = _number(_words(group / "cpu.cfs_quota_us"))
        period = _number(_words(group / "cpu.cfs_period_us"))
    period = _DEFAULT_PERIOD_USECS if period is None else period
    return quota / period if quota is not None and quota > 0 and period > 0 else None


def _memory(group: Path, version: int) -> tuple[int, int] | None:
    """The limit of a group and what is left of it, in bytes."""
    names = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)
    limits = [_number(_words(group / name)) for name in names]
    limit = min((one for one in limits if one is not None and 0 < one < _NO_LIMIT_BYTES), default=None)
    if limit is None:
        return None
    used = _number(_words(group / ("memory.current" if version == 2 else "memory.usage_in_bytes"))) or 0
    cached = _inactive_file_bytes(group / "memory.stat")
    return limit, min(max(limit - max(used - cached, 0), 0), limit)


def _inactive_file_bytes(stat: Path) -> int:
    """The part of the page cache that the system drops first; version 1 counts that of child groups under total_."""
    counts = {words[0]: _number(words[1:]) for line in _lines(stat) if len(words := line.split()) == 2}
    return counts.get("total_inactive_file") or counts.get("inactive_file") or 0


def _number(words: list[str]) -> int | None:
    try:
        return int(words[0])
    except (IndexError, ValueError):
        return None


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except (OSError, ValueError):
        return []
