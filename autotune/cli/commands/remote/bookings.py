"""`autotune remote bookings`: which job has which device of a service's cluster."""

from __future__ import annotations

import msgspec

from autotune.cli.arguments import JsonOption
from autotune.cli.booking_table import BookingRow, booking_table
from autotune.cli.console import print_json
from autotune.cli.service_arguments import LOCAL_URL, TokenOption, UrlOption, client_of
from autotune.cli.tables import print_table


def bookings(url: UrlOption = LOCAL_URL, token: TokenOption = None, json: JsonOption = False) -> None:
    """Show which job has which device of the service's cluster."""
    with client_of(url, token) as client:
        found = client.bookings()
    if json:
        print_json(msgspec.to_builtins(found))
        return
    rows = [
        BookingRow(one.device, one.place, one.job, one.held_secs, one.left_secs, one.waiting) for one in found
    ]
    print_table(booking_table(f"Devices of {url}", rows))
