"""Job files and device files: read, or refused with the line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from autotune.devices.device import Device
from autotune.devices.device_file import read_devices
from autotune.devices.device_url import parse_device
from autotune.jobs import job_file
from search_spaces.errors import AutotuneError, Misuse

_JOB = b"""
name = "night"
output = "out"
log = "log.jsonl"
devices = ["local", "pi4"]
seed = 3
batch = 8
sampler = "random"
webhook = "http://localhost/x"
cost_model = "none"

[budget]
hours = 0.5
trials = 100

[[models]]
path = "model.onnx"
name = "a"
priority = 2
latency_ms = 4.5
[models.shapes]
x = [1, 3, "8..16", 4]
[models.dims]
batch = "1..4"

[[models]]
path = "model.onnx"
name = "b"
devices = [
  "local",
]
max_mb = 4
"""
_DEVICES = b"""
[[device]]
name = "pi4"
connection = "rpc://127.0.0.1:9190/pi4"
target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
linker = "aarch64-linux-gnu-gcc"
threads = 4
price_per_hour = 0.02
"""
_VALUES = (
    *(b"nan", b"-inf", b"1e400", b"-1", b"9" * 30, b"1979-05-27", b"true"),
    *(b"[[[]]]", b"{a = {b = 1}}", b'"\\u0000"'),
)
_LOCAL = parse_device("local")


def _without_network(url: str) -> Device:
    """Devices that a job file names, without a connection to any."""
    if url != "local":
        raise Misuse("not reached")
    return _LOCAL


job_file.parse_device = _without_network  # type: ignore[attr-defined]


def seeds() -> Iterator[bytes]:
    """A job file, a device file, and edits of their values."""
    yield b"\x00" + _JOB
    yield b"\x40" + _DEVICES
    for number in range(12):
        yield bytes([0x80 if number % 2 else 0xC0, 3 * number, number])


def read(data: bytes, folder: Path) -> None:
    """Reads a job file with devices beside it, or a device file; as given, or with the values of lines replaced."""
    kind, data = data[:1], data[1:]
    jobs, devices = folder / "jobs.toml", folder / "devices.toml"
    (folder / "model.onnx").touch()
    jobs.write_bytes(data if kind < b"\x40" else _with_values(_JOB, data) if kind >= b"\xc0" else _JOB)
    devices.write_bytes(
        data
        if b"\x40" <= kind < b"\x80"
        else _with_values(_DEVICES, data)
        if b"\x80" <= kind < b"\xc0"
        else _DEVICES
    )
    with contextlib.suppress(AutotuneError):
        read_devices(devices)
    with contextlib.suppress(AutotuneError):
        job_file.read_job_file(jobs)


def _with_values(text: bytes, data: bytes) -> bytes:
    """The text with the value of a line replaced for each two bytes, the last by the rest of the data."""
    lines = text.splitlines()
    for place, value in zip(data[:6:2], data[1:6:2], strict=False):
        number = place % len(lines)
        new = _VALUES[value % len(_VALUES)] if value < 200 else data[6:]
        lines[number] = lines[number].partition(b"=")[0] + b"= " + new
    return b"\n".join(lines)
