"""Options of the commands that compare engines and hold them against limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import finite
from autotune.comparison.limits import Limits
from autotune.comparison.result import Comparison
from autotune.comparison.verdict import DeploymentVerdict, verdict
from search_spaces.errors import Misuse

LatencyOption = Annotated[
    float | None,
    typer.Option(
        "--latency-ms", metavar="MS", callback=finite, help="The largest latency, see --percentile."
    ),
]
ThroughputOption = Annotated[
    float | None,
    typer.Option(
        "--throughput-per-second",
        metavar="N",
        callback=finite,
        help="The least number of inferences per second: by --capacity, else of one instance that runs one after the "
        "other.",
    ),
]
DollarsOption = Annotated[
    float | None,
    typer.Option(
        "--dollars-per-million",
        metavar="PRICE",
        callback=finite,
        help="The largest price of a million inferences.",
    ),
]
PercentileOption = Annotated[
    float,
    typer.Option("--percentile", metavar="P", help="The percentile of the latency that --latency-ms limits."),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="DEVICE=PRICE",
        help="The price of an hour of a device, as in local=0.17, in place of that of its file; repeatable.",
    ),
]

CapacityOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--capacity",
        metavar="FILE.json",
        help="What autotune capacity --output wrote of a compared model: its throughput under load counts, in place "
        "of that of one instance that runs one after the other; repeatable.",
    ),
]


def judge(
    comparison: Comparison, limits: Limits, prices: Mapping[str, float], capacities: Sequence[Path]
) -> DeploymentVerdict:
    """The verdict, with the throughputs of capacity studies. Raises Misuse for files that are none of these."""
    if not capacities:
        return verdict(comparison, limits, prices)
    from autotune.comparison.capacity_rates import read_capacity, serving_rates

    rates = serving_rates(comparison, [read_capacity(path) for path in capacities], limits)
    return verdict(comparison, limits, prices, rates)


def read_limits(
    latency_ms: float | None, throughput: float | None, dollars: float | None, percentile: float
) -> Limits:
    """The limits of a command line. Raises Misuse for numbers that are not positive."""
    latency_secs = None if latency_ms is None else latency_ms / 1e3
    return Limits(latency_secs, throughput, dollars, percentile)


def has_limit(limits: Limits) -> bool:
    """Whether anything is limited."""
    return any(
        limit is not None
        for limit in (limits.latency_secs, limits.throughput_per_second, limits.dollars_per_million)
    )


def read_prices(texts: Sequence[str]) -> dict[str, float]:
    """Prices per hour by device, each written `DEVICE=PRICE`. Raises Misuse for anything else."""
    prices: dict[str, float] = {}
    for text in texts:
        name, _, price = text.rpartition("=")
        try:
            value = float(price)
        except ValueError:
            value = None
        if not name or value is None:
            raise Misuse(f"a price looks like local=0.17, per hour; found {text!r}", code="AT805")
        if name in prices:
            raise Misuse(f"a device has one price; found two for {name!r}", code="AT805")
        prices[name] = value
    return prices


def split_names(texts: Sequence[str]) -> list[str]:
    """Names that are separated by commas; features in a target, as in -mattr=+a,+b, stay together."""
    parts = [part.strip() for text in texts for part in re.split(r",(?![+-])", text)]
    return [part for part in parts if part]
