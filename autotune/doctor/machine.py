"""Checks of the machine that runs a job, each with a remedy."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import msgspec

from autotune.devices.machine_state import MachineState, MachineWatch
from autotune.machine.allowance import Allowance, read_allowance
from autotune.tuning.provenance import utc_now
from autotune.workers.room import TEMPORARY_FOLDER_REMEDY
from search_spaces.tensor_ir.tvm_version import PINS

_GIB = 1 << 30
_WATCHED_SECS = 1.0
# Processors that others may use: beyond the first it shows in the timings, beyond the second it spoils them.
_BUSY, _TOO_BUSY = 0.1, 0.5
_HOT_CELSIUS = 85.0
_GOVERNORS = "devices/system/cpu/cpu*/cpufreq/scaling_governor"


class Health(StrEnum):
    """The severity of a finding: a warning makes a job's results worse, a problem spoils them."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check; remedy: empty where none is needed."""

    what: str
    health: Health
    found: str
    remedy: str = ""


def check_machine(output: Path, sys: Path = Path("/sys")) -> Iterator[Finding]:
    """Checks everything but the devices; output: the folder of a future job. Takes about two seconds."""
    watch = MachineWatch(sys)
    allowance = read_allowance()
    yield from check_pins(PINS)
    temporary = check_temporary_folder()
    if temporary.health is not Health.PROBLEM:
        yield check_compiler("C compiler", "cc", ".c")
        yield check_compiler("C++ compiler", "c++", ".cpp")
    yield check_folder("output folder", output)
    yield temporary
    yield check_memory(allowance.free_bytes)
    yield from check_allowance(allowance)
    yield check_governors(sys)
    time.sleep(_WATCHED_SECS)
    yield from check_state(watch.look(utc_now()))


def check_pins(pins: Mapping[str, str]) -> Iterator[Finding]:
    """Checks the installed version of each package against its pin."""
    for name, version in pins.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        good = found == version
        remedy = "" if good else f"pip install '{name}=={version}'"
        yield Finding(f"version of {name}", Health.GOOD if good else Health.PROBLEM, found, remedy)


def check_compiler(what: str, command: str, suffix: str) -> Finding:
    """Checks that a compiler makes a shared library that loads from the temporary folder."""
    path = shutil.which(command)
    if path is None:
        return Finding(what, Health.PROBLEM, f"no {command} on the PATH", "apt-get install gcc g++, or clang")
    with tempfile.TemporaryDirectory(prefix="autotune-doctor-") as scratch:
        source, library = Path(scratch, f"answer{suffix}"), Path(scratch, "answer.so")
        source.write_text('#ifdef __cplusplus\nextern "C"\n#endif\nint answer(void) { return 42; }\n')
        try:
            done = subprocess.run(
                [path, "-shared", "-fPIC", "-o", library, source], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding(what, Health.PROBLEM, f"{path} does not run: {error}", "reinstall gcc and g++")
        if done.returncode:
            return Finding(
                what, Health.PROBLEM, f"{path}: {done.stderr.strip()[-300:]}", "reinstall gcc and g++"
            )
        try:
            assert ctypes.CDLL(str(library)).answer() == 42
        except OSError as error:
            remedy = "set TMPDIR to a folder on a file system that is not mounted noexec"
            return Finding(what, Health.PROBLEM, f"its library does not load: {error}", remedy)
    return Finding(what, Health.GOOD, path)


def check_folder(what: str, folder: Path) -> Finding:
    """Checks that a folder, or its nearest parent that exists, is writable and has room."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if os.path.exists(one))
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"room?")
    except OSError as error:
        return Finding(
            what, Health.PROBLEM, f"{folder}: {error}", "choose another, or change its permissions"
        )
    free = shutil.disk_usage(there).free
    health = Health.PROBLEM if free < _GIB else Health.WARNING if free < 5 * _GIB else Health.GOOD
    remedy = (
        ""
        if health is Health.GOOD
        else "make room: a long job wants 5 GiB for logs, builds and scratch files"
    )
    return Finding(what, health, f"{folder}: {free / _GIB:.1f} GiB free", remedy)


def check_temporary_folder() -> Finding:
    """Checks that there is a folder for temporary files with room; nothing can be compiled without."""
    what = "temporary folder"
    try:
        return check_folder(what, Path(tempfile.gettempdir()))
    except FileNotFoundError as error:
        return Finding(what, Health.PROBLEM, str(error), TEMPORARY_FOLDER_REMEDY)


def check_memory(available: int) -> Finding:
    """Checks the free memory (bytes) against the needs of compilers."""
    health = Health.PROBLEM if available < _GIB else Health.WARNING if available < 3 * _GIB else Health.GOOD
    remedy = "" if health is Health.GOOD else "end other programs: compilers want 3 GiB"
    return Finding("memory", health, f"{available / _GIB:.1f} GiB free", remedy)


def check_allowance(allowance: Allowance) -> Iterator[Finding]:
    """Checks the processors and the memory that this process may use against those of the machine."""
    count, most = len(allowance.processors), allowance.machine_processors
    quota = allowance.cpu_quota
    if quota is None:
        yield Finding("CPU quota", Health.GOOD, "none below the processors")
    else:
        remedy = f"raise it (docker run --cpus, cpu.max, cpu.cfs_quota_us); meanwhile local takes {allowance.threads}"
        found = f"{quota:g} processors by a control group's quota: threads beyond it are throttled"
        yield Finding("CPU quota", Health.WARNING, found, remedy)
    affinity = f"{count} of {most} processors"
    if count < most:
        remedy = (
            "taskset, cpuset.cpus or docker run --cpuset-cpus give it more; records are for so many threads"
        )
        yield Finding("affinity", Health.WARNING, affinity, remedy)
    else:
        yield Finding("affinity", Health.GOOD, affinity)
    yield check_siblings(allowance)
    if allowance.has_memory_limit:
        size = allowance.memory_bytes
        found = f"{size / _GIB:.1f} GiB by a control group"
        health = Health.GOOD if size >= 4 * _GIB else Health.WARNING if size >= 2 * _GIB else Health.PROBLEM
        remedy = "" if health is Health.GOOD else "raise it to 4 GiB (docker run --memory, memory.max)"
        yield Finding("memory limit", health, found, remedy)
    else:
        yield Finding("memory limit", Health.GOOD, "none below the machine's memory")


def check_siblings(allowance: Allowance) -> Finding:
    """Checks that the processors are cores of their own; siblings share one core's arithmetic units."""
    count, cores = len(allowance.processors), allowance.cores
    found = f"{count} processors of {cores} physical core{'' if cores == 1 else 's'}"
    if count == cores:
        return Finding("SMT siblings", Health.GOOD, found)
    remedy = f"local?threads={cores} where more threads are not faster (tune finds out by itself)"
    return Finding("SMT siblings", Health.WARNING, found, remedy)


def check_governors(sys: Path) -> Finding:
    """Checks that no processor's clock governor is `powersave`."""
    found = sorted({file.read_text().strip() for file in sys.glob(_GOVERNORS)})
    if not found:
        return Finding("clock governor", Health.GOOD, "not told by this machine")
    slow = "powersave" in found
    remedy = "as root: cpupower frequency-set -g performance" if slow else ""
    return Finding("clock governor", Health.WARNING if slow else Health.GOOD, ", ".join(found), remedy)


def check_state(state: MachineState) -> Iterator[Finding]:
    """Checks the load by other programs, the clock and the temperature."""
    busy = state.busy_elsewhere
    health = Health.PROBLEM if busy > _TOO_BUSY else Health.WARNING if busy > _BUSY else Health.GOOD
    remedy = "" if health is Health.GOOD else "end what else is running (see top), or tune at night"
    yield Finding("load by others", health, f"{busy:.2f} processors", remedy)
    mhz = "not told by this machine" if state.mhz is None else f"{state.mhz:.0f} MHz"
    yield Finding("clock frequency", Health.GOOD, mhz)
    if state.celsius is None:
        yield Finding("temperature", Health.GOOD, "not told by this machine")
    else:
        hot = state.celsius > _HOT_CELSIUS
        remedy = "cool it, or its clock will be turned down" if hot else ""
        yield Finding(
            "temperature", Health.WARNING if hot else Health.GOOD, f"{state.celsius:.0f} °C", remedy
        )
