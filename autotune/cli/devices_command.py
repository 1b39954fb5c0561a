"""`autotune devices`: what can be measured on from here."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.console import OUT, print_json, table
from autotune.cli.subject import JsonOption
from autotune.device import Device, parse_device
from autotune.runner import LocalRunner
from autotune.thread_scaling import check_threads


def devices(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Devices; default: local.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List devices, their targets and what their threads bring; a device whose threads lose is an error."""
    found = [parse_device(name) for name in names or ["local"]]
    speedups = {device.connection: _speedup(device) for device in found}
    if json:
        print_json([_row(device, speedups[device.connection]) for device in found])
        return
    rows = [
        [
            device.connection,
            device.fingerprint.name,
            str(device.target),
            str(device.threads),
            f"{speedups[device.connection]:.2f}×",
            device.fingerprint.key,
        ]
        for device in found
    ]
    OUT.print(table("Devices", ["device", "machine", "target", "threads", "speed-up", "fingerprint"], rows))


def _speedup(device: Device) -> float:
    with LocalRunner(device) as runner:
        return check_threads(device, runner)


def _row(device: Device, speedup: float) -> dict[str, object]:
    return {
        "connection": device.connection,
        "target": str(device.target),
        "threads": device.threads,
        "speedup": speedup,
        "fingerprint": device.fingerprint.key,
        "facts": dict(device.fingerprint.facts),
    }
