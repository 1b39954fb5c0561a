"""The program that reads an uploaded model: a process without rights to the store, used once and ended.

    python -m autotune.service.examiner   examines one model
    python -m autotune.service.examiner --probe DEVICES.toml   prints the devices of a service

It confines itself to its working directory before anything is imported that reads files or starts threads: `in` is
readable, `out` is writable. Then it readies what takes long, for the devices in the first line of stdin, as JSON, and
waits for a line with the name of a file in `in`. Its answers are lines of JSON on stdout. It ends when its stdin is
closed: with the server.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from pathlib import Path
from typing import Final

from autotune.service.confinement import (
    ResourceLimits,
    become_nobody,
    confine,
    drop_capabilities,
    is_public,
    leave_network,
    limit,
)

IN, OUT = "in", "out"
#: Printed once a model can be examined at once.
READY: Final = b"ready\n"
_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/opt",
    "/proc",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/dev/urandom",
)


def main(arguments: list[str]) -> None:
    """Examines one model, or probes the devices of a service."""
    if arguments:
        _probe(Path(arguments[1]))
    else:
        _examine()


def _examine() -> None:
    from autotune.service.limits import ExaminationLimits

    limits = ExaminationLimits()
    limit(ResourceLimits(limits.cpu_secs, limits.memory_bytes, limits.open_files, limits.file_bytes))
    _confine()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import msgspec

    from autotune.service.device_probe import estimator_of
    from autotune.service.examination import ExaminedDevice, examine
    from autotune.service.known_devices import KnownDevice

    known = sys.stdin.buffer.readline()
    devices = [
        ExaminedDevice(one.document.name, one.document.target, estimator_of(one))
        for one in msgspec.json.decode(known, type=tuple[KnownDevice, ...])
    ]
    _answer(READY)
    name = sys.stdin.buffer.readline().decode().strip()
    for found in examine(Path(IN) / name, Path(OUT), devices, limits):
        _answer(msgspec.json.encode(found) + b"\n")
    os._exit(0)


def _probe(devices_file: Path) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import msgspec

    from autotune.service.device_probe import probe

    _answer(msgspec.json.encode(probe(devices_file)) + b"\n")
    os._exit(0)


def _confine() -> None:
    """Gives up everything but reading what Python and its packages are made of, and two folders."""
    here = Path.cwd()
    code = [Path(sys.prefix), Path(sys.base_prefix), *(Path(each) for each in sys.path if each)]
    os.environ.update({"HOME": str(here / OUT), "TMPDIR": str(here / OUT), "MPLCONFIGDIR": str(here / OUT)})
    confine(
        [*map(Path, _SYSTEM), *code, here / IN],
        [here / OUT, Path("/dev/null")],
    )
    leave_network()
    if all(map(is_public, (each for each in code if each.exists()))):
        become_nobody()
    drop_capabilities()


def _answer(line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


def _leave_with_parent() -> None:
    watch = select.poll()
    watch.register(0, 0)  # only its being closed
    watch.poll()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
