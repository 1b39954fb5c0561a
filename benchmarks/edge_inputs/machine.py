"""Machines that grant a process less than they have: affinity, quotas, limits of memory, busy neighbours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_inputs.attempt import WALL_SECS, Attempt, Ended
from edge_inputs.machine_trees import machine_trees

_KIND = "machine"
_TOP = Path("/sys/fs/cgroup")
_GIB = 1 << 30
_QUOTAS = (0.1, 0.5, 0.75, 1.0, 1.5, 1.99)
_MEMORIES = (1 * _GIB, 2 * _GIB, 3 * _GIB)
_TUNE = ("tune", "--op", "matmul:64,64,64", "--trials", "2", "--log", "log.jsonl", "--json", "--device")


@dataclass(frozen=True)
class _Limits:
    """Limits of a child: processors by affinity, a CPU quota, bytes of memory; parent: of the group around it."""

    affinity: int | None = None
    quota: float | None = None
    memory_bytes: int | None = None
    parent_quota: float | None = None


def inputs() -> Iterator[Attempt]:
    """The attempts; those with control groups yield nothing where none can be made."""
    yield from machine_trees(_KIND)
    yield Attempt(_KIND, "affinity of one processor", lambda at: _devices(at, _Limits(affinity=1), 1))
    yield Attempt(_KIND, "affinity of one, two threads asked for", _explicit)
    yield Attempt(_KIND, "affinity of one, tune", lambda at: _tune(at, _Limits(affinity=1), "local"))
    yield Attempt(_KIND, "tune beside a busy neighbour", _busy)
    yield Attempt(_KIND, "doctor beside a busy neighbour", _busy_doctor)
    fault = _fault_of_groups()
    if fault:
        print(f"{_KIND}: no control group can be made here: {fault}", file=sys.stderr)
        return
    for quota in _QUOTAS:
        limits = _Limits(quota=quota)
        yield Attempt(_KIND, f"quota {quota}, devices", lambda at, limits=limits: _devices(at, limits, 1))
    for quota in (0.5, 1.5):
        limits = _Limits(quota=quota)
        yield Attempt(
            _KIND, f"quota {quota}, doctor", lambda at, limits=limits: _doctor(at, limits, "CPU quota")
        )
        yield Attempt(_KIND, f"quota {quota}, tune", lambda at, limits=limits: _tune(at, limits, "local"))
        yield Attempt(
            _KIND,
            f"quota {quota}, tune on two",
            lambda at, limits=limits: _tune(at, limits, "local?threads=2"),
        )
    nested = _Limits(quota=1.9, parent_quota=0.5)
    yield Attempt(_KIND, "quota of a parent group, devices", lambda at: _devices(at, nested, 1))
    yield Attempt(_KIND, "quota of a parent group, doctor", lambda at: _doctor(at, nested, "CPU quota"))
    for size in _MEMORIES:
        limits = _Limits(memory_bytes=size)
        yield Attempt(
            _KIND,
            f"memory limit of {size // _GIB} GiB, doctor",
            lambda at, limits=limits: _doctor(at, limits, "memory limit"),
        )
    small = _Limits(memory_bytes=2 * _GIB)
    yield Attempt(_KIND, "memory limit of 2 GiB, tune", lambda at: _tune(at, small, "local"))


def _devices(at: Path, limits: _Limits, threads: int) -> str | None:
    ended, found = _json(["devices", "--json"], at, limits)
    if fault := ended.fault(0):
        return fault
    if found[0]["threads"] != threads:
        return f"expected {threads} threads, found {found[0]['threads']}"
    quotas = [one for one in (limits.quota, limits.parent_quota) if one is not None]
    named = found[0]["facts"].get("cpu_quota")
    return None if named == min(quotas, default=None) else f"the fingerprint's quota is {named}"


def _doctor(at: Path, limits: _Limits, what: str) -> str | None:
    ended, found = _json(["doctor", "--json"], at, limits)
    if fault := ended.fault(0, 1):
        return fault
    one = next((one for one in found if one["what"] == what), None)
    limited = one is not None and (one["health"] != "good" or "control group" in one["found"])
    unmended = [one["what"] for one in found if one["health"] != "good" and not one["remedy"]]
    return (
        None
        if limited and not unmended
        else f"doctor says of the {what}: {one}; without a remedy: {unmended}"
    )


def _tune(at: Path, limits: _Limits, device: str) -> str | None:
    ended, found = _json([*_TUNE, device], at, limits)
    if fault := ended.fault(0):
        return fault
    best = found["tasks"][0]["best_secs"]
    says = limits.quota is None or "quota" in str(found["machine"])
    return None if best and says else f"best {best}, and of the machine: {found['machine']}"


def _explicit(at: Path) -> str | None:
    ended = _run(["devices", "local?threads=2", "--json"], at, _Limits(affinity=1))
    if fault := ended.fault(0):
        return fault
    obeyed = '"threads": 2' in ended.output and "more than" in ended.output
    return None if obeyed else "two threads are not obeyed with a warning"


def _busy(at: Path) -> str | None:
    with _neighbours():
        return _tune(at, _Limits(), "local")


def _busy_doctor(at: Path) -> str | None:
    with _neighbours():
        ended, found = _json(["doctor", "--json"], at, _Limits())
    if fault := ended.fault(0, 1):
        return fault
    [load] = [one for one in found if one["what"] == "load by others"]
    return (
        None if load["health"] != "good" and load["remedy"] else f"doctor says of the load: {load['found']}"
    )


@contextmanager
def _neighbours() -> Iterator[None]:
    """Two programs for each processor that do nothing but compute."""
    program = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(program) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


def _json(arguments: list[str], at: Path, limits: _Limits) -> tuple[Ended, Any]:
    """An ended command, and the JSON document on its stdout; None where there is none."""
    ended = _run(arguments, at, limits)
    try:
        return ended, json.loads((at / "stdout").read_text())
    except ValueError:
        return Ended(-1 if ended.code == 0 else ended.code, ended.output), None


def _run(arguments: list[str], at: Path, limits: _Limits) -> Ended:
    with ExitStack() as stack:
        enter = stack.enter_context(_limited(limits))
        out = stack.enter_context((at / "stdout").open("w"))
        err = stack.enter_context((at / "stderr").open("w"))
        command = [sys.executable, "-m", "autotune.cli.main", *arguments]
        process = subprocess.Popen(
            command,
            cwd=at,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=enter,
            process_group=0,
        )
        try:
            code: int | None = process.wait(WALL_SECS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait() and None
    return Ended(code, (at / "stdout").read_text() + (at / "stderr").read_text())


@contextmanager
def _limited(limits: _Limits) -> Iterator[Callable[[], None]]:
    """A function that a child calls before it runs, to come under the limits."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        label = f"edges-{Path(name).name}"
        groups = [
            group
            for controller in ("cpu", "memory")
            if (group := _group(stack, controller, label, limits)) is not None
        ]

        def enter() -> None:
            for group in groups:
                (group / "cgroup.procs").write_text(str(os.getpid()))
            if limits.affinity is not None:
                os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: limits.affinity])

        yield enter


def _group(stack: ExitStack, controller: str, label: str, limits: _Limits) -> Path | None:
    """A new group with the limits of one controller, removed at the end; None where there are none."""
    is_new = (_TOP / "cgroup.controllers").exists()
    top = _TOP if is_new else _TOP / controller
    if controller == "memory":
        if limits.memory_bytes is None:
            return None
        group = _made(stack, top / f"{label}-memory")
        (group / ("memory.max" if is_new else "memory.limit_in_bytes")).write_text(str(limits.memory_bytes))
        return group
    if limits.quota is None:
        return None
    group = _made(stack, top / label)
    if limits.parent_quota is not None:
        _limit(group, limits.parent_quota)
        if is_new:
            (group / "cgroup.subtree_control").write_text("+cpu")
        group = _made(stack, group / "inner")
        # Version 1 refuses a child more than its parent has.
        if not is_new:
            return group
    _limit(group, limits.quota)
    return group


def _limit(group: Path, quota: float) -> None:
    usecs = round(quota * 100_000)
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{usecs} 100000")
    else:
        (group / "cpu.cfs_quota_us").write_text(str(usecs))


def _made(stack: ExitStack, group: Path) -> Path:
    group.mkdir()
    stack.callback(_removed, group)
    return group


def _removed(group: Path) -> None:
    for _ in range(100):  # a group stays busy until its last process is reaped
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _fault_of_groups() -> str | None:
    try:
        with _limited(_Limits(quota=1.0, memory_bytes=_GIB)):
            return None
    except OSError as error:
        return str(error)
