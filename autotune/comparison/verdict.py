"""The engines and devices that hold limits, the cheapest first, and by how much each other one misses them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from autotune.comparison.limits import Limits, ServingRate, with_prices
from autotune.comparison.percentiles import percentile_secs
from autotune.comparison.result import Comparison, Row
from autotune.devices.price import price_per_million
from search_spaces.errors import Misuse


class Limit(Enum):
    """A limit, named after the field of `Limits`."""

    LATENCY = "latency_secs"
    THROUGHPUT = "throughput_per_second"
    DOLLARS = "dollars_per_million"


class Miss(msgspec.Struct, frozen=True):
    """A limit that is not held. by: the difference of what was found and what is allowed, positive; share: of that."""

    limit: Limit
    found: float
    allowed: float
    by: float
    share: float


class Option(msgspec.Struct, frozen=True):
    """An engine on a device. latency_secs: at the percentile of the limits; dollars_per_million: None without a price.

    reason: why it cannot hold limits, or why that cannot be told, beside what it misses; None elsewhere.
    """

    model: str
    device: str
    engine: str
    latency_secs: float | None = None
    throughput_per_second: float | None = None
    dollars_per_million: float | None = None
    misses: tuple[Miss, ...] = ()
    reason: str | None = None

    @property
    def holds(self) -> bool:
        """Whether all limits are held."""
        return not self.misses and self.reason is None


class ModelVerdict(msgspec.Struct, frozen=True):
    """The options of one model: those that hold the limits, the cheapest first, then the fastest; and the others, those
    that miss by the smallest share first."""

    model: str
    holding: tuple[Option, ...]
    missing: tuple[Option, ...]


class DeploymentVerdict(msgspec.Struct, frozen=True):
    """The verdict on a comparison. prices: per hour by device, as far as they are known."""

    limits: Limits
    prices: dict[str, float]
    models: tuple[ModelVerdict, ...]


def verdict(
    comparison: Comparison,
    limits: Limits,
    prices: Mapping[str, float] | None = None,
    rates: Sequence[ServingRate] = (),
) -> DeploymentVerdict:
    """Holds every row of a comparison against limits, without measuring anything.

    prices: per hour by device, in place of those of the comparison; rates: throughputs in place of those of one
    instance that runs one request after the other.
    Raises Misuse for prices that are not finite and positive, and for prices and rates of what was not compared.

    >>> autotune.verdict(comparison, autotune.Limits(latency_secs=0.02), {"local": 0.17})  # doctest: +SKIP
    """
    known = with_prices(comparison.prices, prices or {}, (one.name for one in comparison.devices))
    found = _by_row(rates)
    rows = [(row, (row.model, row.device, row.engine)) for row in comparison.rows]
    unknown = set(found) - {place for _, place in rows}
    if unknown:
        raise Misuse(
            f"expected rates of engines that were compared; found one for {', '.join(min(unknown))}",
            code="AT721",
        )
    options = [_option(row, limits, known.get(row.device), found.get(place)) for row, place in rows]
    models = (
        _model_verdict(model.name, [each for each in options if each.model == model.name])
        for model in comparison.models
    )
    return DeploymentVerdict(limits, known, tuple(models))


def _by_row(rates: Iterable[ServingRate]) -> dict[tuple[str, str, str], ServingRate]:
    return {(one.model, one.device, one.engine): one for one in rates}


def _model_verdict(model: str, options: Sequence[Option]) -> ModelVerdict:
    return ModelVerdict(
        model,
        tuple(sorted((each for each in options if each.holds), key=_by_cost)),
        tuple(sorted((each for each in options if not each.holds), key=_by_miss)),
    )


def _by_cost(option: Option) -> tuple[float, float]:
    dollars, latency = option.dollars_per_million, option.latency_secs
    return math.inf if dollars is None else dollars, math.inf if latency is None else latency


def _by_miss(option: Option) -> tuple[bool, float]:
    return option.reason is not None, max((miss.share for miss in option.misses), default=math.inf)


def _option(row: Row, limits: Limits, price_per_hour: float | None, rate: ServingRate | None) -> Option:
    measured = row.measured
    if measured is None:
        return Option(row.model, row.device, row.engine, reason=row.reason or "it was not measured")
    throughput = rate.throughput_per_second if rate else measured.throughput_per_second
    under_load = rate.latency_secs if rate else None
    option = Option(
        row.model,
        row.device,
        row.engine,
        under_load or percentile_secs(measured.run_secs, limits.percentile),
        throughput,
        price_per_million(price_per_hour, throughput),
    )
    return msgspec.structs.replace(
        option, misses=_misses(option, limits), reason=_reason(row, limits, price_per_hour, throughput)
    )


def _reason(row: Row, limits: Limits, price_per_hour: float | None, throughput: float) -> str | None:
    if row.mistake is not None:
        return f"its outputs are wrong: {row.mistake}"
    if throughput == 0.0:
        return "no load is known that it holds"
    if limits.dollars_per_million is not None and price_per_hour is None:
        return f"the price per hour of {row.device} is not known"
    return None


def _misses(option: Option, limits: Limits) -> tuple[Miss, ...]:
    found: list[Miss] = []
    for limit in Limit:
        value, allowed = getattr(option, limit.value), getattr(limits, limit.value)
        if value is None or allowed is None:
            continue
        by = allowed - value if limit is Limit.THROUGHPUT else value - allowed
        if by > 0.0:
            found.append(Miss(limit, value, allowed, by, by / allowed))
    return tuple(found)
