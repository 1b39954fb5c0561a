"""`autotune devices`: devices, their targets and the speed-up of their threads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from autotune.cli.arguments import DevicesOption, JsonOption, WorkersOption
from autotune.cli.booking_table import BookingRow, booking_table
from autotune.cli.console import print_json, warn
from autotune.cli.tables import print_table
from autotune.cluster.address import WorkersAddress, parse_workers
from autotune.cluster.booked import Booked
from autotune.cluster.opening import open_workers
from autotune.devices.device import Device
from autotune.devices.device_file import find_device, read_devices
from autotune.jobs.table import Column, Table
from autotune.machine.allowance import read_allowance
from autotune.runners.factory import thread_speedup
from autotune.runners.thread_scaling import LEAST_SPEEDUP


def devices(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Devices; default: local.")
    ] = None,
    file: DevicesOption = None,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """List devices, their targets and what their threads bring; a device that cannot be reached, or a board whose
    threads lose, is an error."""
    if workers and not (address := parse_workers(workers)).is_local:
        _list_cluster(address, json)
        return
    names = names or ([one.name for one in read_devices(file)] if file else ["local"])
    found = [find_device(name, file) for name in names]
    for device in found:
        if device.notice:
            warn(device.notice)
    speedups = {device.connection: thread_speedup(device) for device in found}
    for device in found:
        speedup = speedups[device.connection]
        if device.threads > 1 and speedup is not None and speedup < LEAST_SPEEDUP:
            warn(f"{device.connection}: {device.threads} threads are {speedup:.2f} times as fast as one")
    if json:
        print_json([_row(device, speedups[device.connection]) for device in found])
        return
    rows = tuple(
        (
            device.connection,
            device.fingerprint.name,
            str(device.target),
            str(device.threads),
            _show(speedups[device.connection]),
            device.fingerprint.key,
        )
        for device in found
    )
    columns = (
        Column("device", 9, 16),
        Column("machine", 4, 16),
        Column("target", 6, 20),
        Column("threads", 7),
        Column("speed-up", 8),
        Column("fingerprint", 2),
    )
    print_table(Table("Devices", columns, rows))


def _list_cluster(address: WorkersAddress, json: bool) -> None:
    """The devices of a cluster, and the jobs that have them."""
    with open_workers(address) as opened:
        assert isinstance(opened, Booked)
        found = opened.devices()
    if json:
        print_json(
            [
                {"device": name, "seat": seat.name, "booking": asdict(booking) if booking else None}
                for name, seat, booking in found
            ]
        )
        return
    rows = [
        BookingRow(name, seat.name, booking.job, booking.held_secs, booking.left_secs, booking.waiting)
        if booking
        else BookingRow(name, seat.name, None, None, None, ())
        for name, seat, booking in found
    ]
    print_table(booking_table(f"Devices of {address.text}", rows))


def _show(speedup: float | None) -> str:
    return "–" if speedup is None else f"{speedup:.2f}×"


def _row(device: Device, speedup: float | None) -> dict[str, object]:
    return {
        "connection": device.connection,
        "target": str(device.target),
        "threads": device.threads,
        "speedup": speedup,
        "fingerprint": device.fingerprint.key,
        "notice": device.notice,
        "facts": dict(device.fingerprint.facts),
        "allowance": asdict(read_allowance()) if device.is_here else None,
    }
