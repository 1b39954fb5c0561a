"""The finalists of a task: candidates that may be its fastest, as far as one measurement each can tell."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces import Config
from tuning_logs import FailureKind, Timing, TuningRecord

# Beyond this multiple of the best no luck in timing explains the difference.
_FACTOR = 1.5
_FINALISTS = 4


@dataclass(frozen=True, slots=True)
class Latency:
    """The latency of a config in seconds; is_steady: whether it was measured while its device was steady."""

    secs: float
    is_steady: bool


def choose_finalists(
    records: Sequence[TuningRecord], default: Config, champion: Config | None = None
) -> list[Config]:
    """The default, and the configs of one task whose times, all repeats pooled, are within 1.5× of the best.

    At most four of them, and four more of those that were measured while the device was slow. champion: the best of
    earlier jobs, which takes part whatever the others' times, as the machine may have been slower then.
    """
    known = latencies(records, default)
    steady = {config: one for config, one in known.items() if one.is_steady}
    limit_secs = _FACTOR * best_steady_secs(known)
    sure = [config for config in _by_latency(steady) if steady[config].secs <= limit_secs]
    chosen = [default, *sure[:_FINALISTS], *unsteady_contenders(known)[:_FINALISTS]]
    if champion is not None and champion in known and champion not in chosen:
        chosen.append(champion)
    return chosen


def unsteady_contenders(known: Mapping[Config, Latency]) -> list[Config]:
    """All configs measured on a slow device only that may be within 1.5× of the best, the most promising first."""
    limit_secs = _FACTOR * best_steady_secs(known)
    return [
        config
        for config in _by_latency(known)
        if not known[config].is_steady and known[config].secs <= limit_secs
    ]


def best_steady_secs(known: Mapping[Config, Latency]) -> float:
    """The best latency that can be trusted, infinite where there is none."""
    return min((one.secs for one in known.values() if one.is_steady), default=math.inf)


def latencies(records: Sequence[TuningRecord], default: Config) -> dict[Config, Latency]:
    """The latency of each config but the default, all repeats pooled, without those that ever were wrong.

    Where a config was ever measured on a steady device, only those times count, without the censored ones. Else all do,
    each without the slowdown that the device's reference kernel told: on a slow device too much is censored.
    """
    timings: dict[Config, list[Timing]] = defaultdict(list)
    wrong = {default}
    for record in records:
        if isinstance(record.measurement, Timing):
            timings[record.config].append(record.measurement)
        elif record.measurement.kind is FailureKind.WRONG_RESULT:
            wrong.add(record.config)
    found = {config: _latency(each) for config, each in timings.items() if config not in wrong}
    return {config: latency for config, latency in found.items() if latency is not None}


def _latency(timings: Sequence[Timing]) -> Latency | None:
    """None where all steady timings are censored."""
    steady = [one for one in timings if one.is_steady]
    if not steady:
        secs = [secs / one.reference_slowdown for one in timings for secs in one.usual_secs]
        return Latency(statistics.median(secs), False)
    whole = [one for one in steady if not one.censored]
    return Latency(Timing.pooled(whole).secs, True) if whole else None


def _by_latency(known: Mapping[Config, Latency]) -> list[Config]:
    return sorted(known, key=lambda config: known[config].secs)
