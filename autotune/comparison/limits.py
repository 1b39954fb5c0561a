"""Limits that a deployment has to hold, prices, and throughputs that are known from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from search_spaces.errors import Misuse


class Limits(msgspec.Struct, frozen=True):
    """Limits; None for what does not matter. percentile: of the latency. Raises Misuse for numbers that are none.

    dollars_per_million: the price of a million inferences, in the currency of the prices.
    """

    latency_secs: float | None = None
    throughput_per_second: float | None = None
    dollars_per_million: float | None = None
    percentile: float = 99.0

    def __post_init__(self) -> None:
        for name in ("latency_secs", "throughput_per_second", "dollars_per_million"):
            value = getattr(self, name)
            if value is not None:
                check_positive(f"the limit {name}", value)
        if not 0.0 < self.percentile < 100.0:
            raise Misuse(
                f"expected a percentile between 0 and 100, as 99; found {self.percentile}", code="AT721"
            )


class ServingRate(msgspec.Struct, frozen=True):
    """The throughput of an engine that was found by other means than one run after the other, as by a capacity study.

    throughput_per_second: of the whole device, with as many instances as it was found for; 0 where no load is held;
    latency_secs:          at this load and the percentile of the limits, None where the measured one counts.
    Raises Misuse for numbers that are none.
    """

    model: str
    device: str
    engine: str
    throughput_per_second: float
    latency_secs: float | None = None

    def __post_init__(self) -> None:
        if self.throughput_per_second != 0.0:
            check_positive("a throughput per second", self.throughput_per_second)
        if self.latency_secs is not None:
            check_positive("a latency in seconds", self.latency_secs)


def with_prices(
    known: Mapping[str, float], given: Mapping[str, float], devices: Iterable[str]
) -> dict[str, float]:
    """Prices per hour by device: those that are given, else known ones.

    Raises Misuse for a device that was not compared, and for prices that are not finite and positive.
    """
    names = list(devices)
    for name in given:
        if name not in names:
            raise Misuse(
                f"expected the price of a device that was compared: {', '.join(names)}; found {name!r}",
                code="AT721",
            )
    prices = {**known, **given}
    for name, price in prices.items():
        check_positive(f"the price per hour of {name}", price)
    return prices


def check_positive(name: str, value: float) -> None:
    """Raises Misuse unless a number is finite and positive."""
    if not 0.0 < value < math.inf:
        raise Misuse(f"expected {name} to be finite and positive; found {value}", code="AT721")
