"""Checks of orders before they are queued."""

from __future__ import annotations

import math
from dataclasses import replace

from autotune.jobs.durations import parse_secs
from autotune.models.size_range import MOST_SIZE, parse_size
from autotune.service.documents import JobOrder, ModelDocument, ModelOrder, ModelState
from autotune.service.known_devices import KnownDevice, check_device
from autotune.service.limits import ServiceLimits
from autotune.service.model_shelf import ModelShelf
from autotune.service.refusals import refused
from autotune.tuning.budget import Budget
from autotune.tuning.limits import MOST_SEED
from search_spaces.errors import Misuse

_MOST_NAME = 200
_MOST_PRIORITY = 1e6


def check_order(
    order: JobOrder, shelf: ModelShelf, devices: tuple[KnownDevice, ...], limits: ServiceLimits
) -> str:
    """The name of a job with this order. Raises Misuse for one that cannot be run as it is."""
    if not 1 <= len(order.models) <= limits.models:
        raise Misuse(f"a job has 1 to {limits.models} models; found {len(order.models)}", code="AT911")
    if not 1 <= len(order.devices) <= limits.models:
        raise Misuse(f"a job has 1 to {limits.models} devices; found {len(order.devices)}", code="AT911")
    Budget(order.trials, parse_secs(order.time) if order.time else None, order.gain_per_hour)
    if not 0 <= order.seed <= MOST_SEED:
        raise Misuse(f"a seed is from 0 to {MOST_SEED}; found {order.seed}", code="AT911")
    _check_engines(order.engines)
    for device in order.devices:
        check_device(device, devices)
    found = [shelf.get(one.model) for one in order.models]
    for model, wanted in zip(found, order.models, strict=True):
        _check_model(model, wanted)
    name = order.name or ", ".join(dict.fromkeys(one.name for one in found))
    return name[:_MOST_NAME]


def with_more(order: JobOrder, time: str | None, trials: int | None) -> JobOrder:
    """An order with a budget that is larger by a time, a number of trials, or both.

    Raises Misuse where neither is given, or where the order has no such limit.
    """
    if time is None and trials is None:
        raise Misuse("give more time or more trials; found neither", code="AT505")
    if (time and not order.time) or (trials and not order.trials):
        raise Misuse(
            f"expected more of what limits the job, found time {order.time or 'without limit'} and trials "
            f"{order.trials or 'without limit'}; name the other one",
            code="AT505",
        )
    if time and order.time:
        secs = parse_secs(order.time) + parse_secs(time)
        order = replace(order, time=f"{secs:g}s" if secs < 1e6 else f"{round(secs)}s")
    if trials and order.trials:
        order = replace(order, trials=order.trials + trials)
    Budget(order.trials, parse_secs(order.time) if order.time else None, order.gain_per_hour)
    return order


def _check_engines(engines: tuple[str, ...]) -> None:
    if not engines:
        return
    from autotune.deployment.engines import engine_names  # which loads ONNX

    known = engine_names()
    if unknown := [one for one in engines if one not in known]:
        raise Misuse(
            f"expected engines to compare with, of {', '.join(known)}; found {unknown[0][:40]!r}",
            code="AT805",
        )


def _check_model(model: ModelDocument, wanted: ModelOrder) -> None:
    if model.state is ModelState.REFUSED:
        raise refused(model.name, model.examination.refusal)
    if model.state is ModelState.EXAMINING:
        raise Misuse(
            f"expected a model that is examined, found {model.name} under way; wait for it", code="AT904"
        )
    if not 0 < wanted.priority <= _MOST_PRIORITY:
        raise Misuse(f"a priority is positive; found {wanted.priority:g}", code="AT911")
    needs = wanted.needs
    for name in ("latency_ms", "throughput_per_second", "dollars_per_million"):
        limit = getattr(needs, name)
        if limit is not None and not (0 < limit < math.inf):
            raise Misuse(f"{name} is positive; found {limit:g}", code="AT911")
    for name, sizes in (*wanted.shapes.items(), *((name, (size,)) for name, size in wanted.dims.items())):
        for size in sizes:
            is_size = parse_size(size) if isinstance(size, str) else 0 < size <= MOST_SIZE
            if not is_size:
                raise Misuse(
                    f"the sizes of {name[:80]!r} are from 1 to {MOST_SIZE}; found {size}", code="AT105"
                )
