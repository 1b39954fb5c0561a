"""The choice of a device for a model: the cheapest of those it was tuned for that is fast enough."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from autotune.devices.price import price_per_million
from autotune.jobs.status import DeviceStatus, ModelStatus, Offer


def compare_devices(models: Sequence[ModelStatus], devices: Sequence[DeviceStatus]) -> list[Offer]:
    """One offer for each model on each of its devices, the models in their order and the cheapest first.

    For each model, the offer with the lowest price of an inference among those that are fast enough is chosen, of
    equally cheap ones the fastest; a device without a price costs nothing. None is chosen where none is fast enough.
    """
    prices = {one.connection: one for one in devices}
    found: list[Offer] = []
    for name in dict.fromkeys(model.name for model in models):
        offers = [_offer(one, prices[one.device]) for one in models if one.name == name]
        ranked = sorted(offers, key=_rank)
        fit = next(
            (place for place, one in enumerate(ranked) if one.secs and one.is_enough is not False), None
        )
        found += [msgspec.structs.replace(one, is_chosen=place == fit) for place, one in enumerate(ranked)]
    return found


def verdict(one: Offer) -> str:
    """A label for a table: `chosen`, `dearer or slower`, `too slow`, `not known yet`."""
    if one.secs is None:
        return "not known yet"
    if one.is_enough is False:
        return "too slow"
    return "chosen" if one.is_chosen else "dearer or slower"


def _offer(model: ModelStatus, device: DeviceStatus) -> Offer:
    kept = model.fastest
    secs = kept.secs if kept else model.estimated_secs
    # The upper end of the interval: a latency that is needed is needed for sure.
    surely = kept.high_secs if kept else secs
    price = device.price_per_hour or 0.0
    return Offer(
        model=model.name,
        device=device.name,
        connection=device.connection,
        secs=secs,
        is_measured=kept is not None,
        price_per_hour=device.price_per_hour,
        price_per_million=None if secs is None else price_per_million(price, 1.0 / secs),
        needed_secs=model.needed_secs,
        is_enough=None if surely is None or model.needed_secs is None else surely <= model.needed_secs,
    )


def _rank(one: Offer) -> tuple[bool, float, float]:
    return one.secs is None, one.price_per_million or 0.0, one.secs or 0.0
