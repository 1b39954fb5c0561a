"""The verdict on a job: each model on each device held against the needs of its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autotune.devices.connection import distinct_name
from autotune.jobs.status import JobStatus, ModelStatus, Offer
from autotune.service.documents import Needs
from autotune.service.result_documents import Miss, OfferVerdict


def verdicts(status: JobStatus, needs: Mapping[str, Needs]) -> tuple[OfferVerdict, ...]:
    """One verdict for each model on each device. needs: by the model's name in the job."""
    models = {(one.name, one.device): one for one in status.models}
    return judged(tuple(_offer(one, models[one.model, one.connection]) for one in status.offers), needs)


def judged(offers: tuple[OfferVerdict, ...], needs: Mapping[str, Needs]) -> tuple[OfferVerdict, ...]:
    """Offers held against needs; of those of a model that hold all the cheapest is chosen, of equally cheap ones the
    fastest. Nothing is measured: another price or need is judged anew.
    """
    found = [
        replace(one, misses=_misses(one, needs.get(one.model, Needs())), is_chosen=False) for one in offers
    ]
    chosen = {name: _cheapest(one for one in found if one.model == name) for name in needs}
    return tuple(replace(one, is_chosen=one is chosen.get(one.model)) for one in found)


def _misses(one: OfferVerdict, needs: Needs) -> tuple[Miss, ...]:
    # A need is held for sure: by the upper end of the interval.
    surely = one.high_secs or one.secs
    checks = (
        ("latency_ms", needs.latency_ms, None if surely is None else 1e3 * surely, 1.0),
        ("throughput_per_second", needs.throughput_per_second, one.throughput_per_second, -1.0),
        ("dollars_per_million", needs.dollars_per_million, one.dollars_per_million, 1.0),
    )
    return tuple(
        Miss(name, limit, number)
        for name, limit, number, sign in checks
        if limit is not None and (number is None or sign * number > sign * limit)
    )


def _offer(offer: Offer, model: ModelStatus) -> OfferVerdict:
    kept = model.fastest
    secs = kept.secs if kept else offer.secs
    surely = kept.high_secs if kept else secs
    return OfferVerdict(
        model=offer.model,
        device=distinct_name(offer.device, offer.connection),
        secs=secs,
        low_secs=kept.low_secs if kept else None,
        high_secs=kept.high_secs if kept else None,
        before_secs=model.before.secs if model.before else None,
        outputs_equal=model.outputs_equal,
        throughput_per_second=1.0 / surely if surely else None,
        dollars_per_million=offer.price_per_million,
        misses=(),
    )


def _cheapest(offers: Iterable[OfferVerdict]) -> OfferVerdict | None:
    fit = [one for one in offers if one.secs is not None and not one.misses]
    return min(fit, key=lambda one: (one.dollars_per_million or 0.0, one.secs or 0.0), default=None)
