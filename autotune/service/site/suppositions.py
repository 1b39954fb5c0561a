"""Verdicts under limits and prices that a visitor supposes; nothing is measured for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.datastructures import FormData, QueryParams

from autotune.devices.price import price_per_million
from autotune.jobs.status import JobStatus
from autotune.service.pages.service_facts import Supposition
from autotune.service.result_documents import OfferVerdict, ResultDocument
from autotune.service.site.form_fields import text_of
from autotune.service.site.order_fields import needs_of, number_of
from autotune.service.verdicts import judged
from search_spaces.errors import Misuse

_LIMITS = ("latency_ms", "throughput_per_second", "dollars_per_million")
_PRICE = "price:"


def prices_of(status: JobStatus | None) -> dict[str, float | None]:
    """The prices per hour of a job's devices."""
    return {one.name: one.price_per_hour for one in status.devices} if status else {}


def supposed(query: QueryParams, status: JobStatus | None, found: ResultDocument) -> Supposition | None:
    """The verdicts under what an address supposes; None where it supposes nothing."""
    names = [name for name in query if name in _LIMITS or name.startswith(_PRICE)]
    if not names or status is None:
        return None
    form = FormData([(name, query[name]) for name in names])
    values = {name: text_of(form, name) for name in names}
    try:
        needs = needs_of(form)
        prices = {name[len(_PRICE) :]: number_of(form, name) for name in names if name.startswith(_PRICE)}
    except Misuse as error:
        return Supposition(values, found.verdicts, str(error))
    offers = tuple(_with_price(one, prices) for one in found.verdicts)
    return Supposition(values, judged(offers, {one.model: needs for one in offers}))


def _with_price(one: OfferVerdict, prices: Mapping[str, float | None]) -> OfferVerdict:
    price = prices.get(one.device)
    if price is None or one.secs is None:
        return one
    return replace(one, dollars_per_million=price_per_million(price, 1.0 / one.secs))
