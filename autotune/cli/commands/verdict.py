"""`autotune verdict`: a comparison held against limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.comparison_arguments import (
    CapacityOption,
    DollarsOption,
    LatencyOption,
    PercentileOption,
    PriceOption,
    ThroughputOption,
    judge,
    read_limits,
    read_prices,
)
from autotune.cli.comparison_tables import choice_text, verdict_json, verdict_tables
from autotune.cli.console import print_json, tell
from autotune.cli.tables import print_table
from autotune.comparison.result_file import read_comparison


def verdict(
    comparison: Annotated[
        Path, typer.Argument(metavar="COMPARISON.json", help="What autotune compare --output wrote.")
    ],
    latency_ms: LatencyOption = None,
    throughput: ThroughputOption = None,
    dollars: DollarsOption = None,
    percentile: PercentileOption = 99.0,
    price: PriceOption = None,
    capacity: CapacityOption = None,
    json: JsonOption = False,
) -> None:
    """Show which engines on which devices hold the limits, the cheapest first, and by how much each other one misses.

    Nothing is measured: change a limit or a price, and ask again.
    """
    limits = read_limits(latency_ms, throughput, dollars, percentile)
    found = judge(read_comparison(comparison), limits, read_prices(price or ()), capacity or ())
    if json:
        print_json(verdict_json(found))
        return
    for table in verdict_tables(found):
        print_table(table)
    for one in found.models:
        tell(choice_text(one))
