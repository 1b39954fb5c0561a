"""Confinement of a process to a few folders, by Landlock; see landlock(7).

Meant for a process with one thread, before it reads anything from outside: threads that run already are not confined.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWNET: Final = 0x40000000

# Rights to files, by the version of the interface that knows them.
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 14
_RIGHTS_BY_VERSION: Final = {1: 13, 2: 14, 3: 15, 5: 16}
_READ: Final = _READ_FILE | _READ_DIR
# No links and no devices: whatever else reads the folder later finds plain files.
_WRITE: Final = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_FIRST_WITH_NETWORK: Final = 4
_FIRST_WITH_SCOPES: Final = 6
_TCP: Final = 0b11
_SCOPES: Final = 0b11

_RULESET: Final = Struct("=QQQ")
_BENEATH: Final = Struct("=Qi")

# See capset(2): twice effective, permitted and inheritable.
_CAPABILITY_VERSION: Final = 0x20080522
_CAPABILITY_HEADER: Final = Struct("=Ii")
_CAPABILITIES: Final = Struct("=6I")


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Limits of a process: CPU seconds, bytes of memory, open files, bytes of a file."""

    cpu_secs: int
    memory_bytes: int
    open_files: int
    file_bytes: int


def landlock_version() -> int:
    """The version of Landlock that the kernel has, 0 for none."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def confine(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Confines this process to reading and writing files in folders: no programs are started, no links or devices
    made, and, as the kernel knows how to, no TCP connections and no signals to others. False where it has no Landlock.
    """
    version = landlock_version()
    if not version:
        return False
    libc = _libc()
    known = (1 << max(bits for first, bits in _RIGHTS_BY_VERSION.items() if first <= version)) - 1
    network = _TCP if version >= _FIRST_WITH_NETWORK else 0
    scopes = _SCOPES if version >= _FIRST_WITH_SCOPES else 0
    words = 1 + (version >= _FIRST_WITH_NETWORK) + (version >= _FIRST_WITH_SCOPES)
    ruleset = libc.syscall(_CREATE_RULESET, _RULESET.pack(known, network, scopes), 8 * words, 0)
    if ruleset < 0:
        return False
    try:
        for rights, paths in ((_READ, readable), (_WRITE, writable)):
            for path in paths:
                _allow(libc, ruleset, path, rights & known)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return int(libc.syscall(_RESTRICT_SELF, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def leave_network() -> None:
    """Takes the network from this process, where it is root's."""
    if os.geteuid() == 0:
        _libc().unshare(_CLONE_NEWNET)


def become_nobody() -> None:
    """Becomes the user `nobody`, where this process is root's."""
    if os.geteuid() != 0:
        return
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)


def drop_capabilities() -> None:
    """Gives up all capabilities of this process: root's may read the environment of other processes past Landlock."""
    none = _CAPABILITIES.pack(0, 0, 0, 0, 0, 0)
    _libc().capset(_CAPABILITY_HEADER.pack(_CAPABILITY_VERSION, 0), none)


def is_public(path: Path) -> bool:
    """Whether every user can reach and read a path."""
    absolute = path.resolve()
    return all(one.stat().st_mode & 0o001 for one in absolute.parents) and bool(
        absolute.stat().st_mode & 0o004
    )


def limit(limits: ResourceLimits) -> None:
    """Limits the resources of this process, for good."""
    wanted = {
        resource.RLIMIT_CPU: limits.cpu_secs,
        # Address space that is only reserved, as for the heaps of threads, does not count.
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        # A file takes only the rights to files.
        rights &= -1 if path.is_dir() else _READ_FILE | _WRITE_FILE | _TRUNCATE
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _BENEATH.pack(rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
