"""The finalists of a task: those of its candidates that may be its fastest, as far as one measurement each can tell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from search_spaces import Config
from tuning_logs import FailureKind, Timing, TuningRecord

# Beyond this multiple of the best no luck in timing explains the difference.
_FACTOR = 1.5
_FINALISTS = 4


def choose_finalists(
    records: Sequence[TuningRecord],
    default: Config,
    unsteady: Mapping[Config, float] | None = None,
    champion: Config | None = None,
) -> list[Config]:
    """The default, and the configs of one task whose times, all repeats pooled, are within 1.5× of the best.

    At most four of them, and four more of those in doubt: measured on a machine that was slower, by the factor
    given, which is taken off their times before they are held against the best. champion: the best of earlier jobs,
    which takes part whatever the others' times, as the machine may have been slower then.
    """
    doubtful = unsteady_contenders(records, default, unsteady or {})
    sure = _contenders(records, default, unsteady or {})
    chosen = [default, *sure[:_FINALISTS], *doubtful[:_FINALISTS]]
    is_missing = champion not in chosen and champion in pooled_secs(records, default, unsteady or {})
    return [*chosen, champion] if champion is not None and is_missing else chosen


def unsteady_contenders(
    records: Sequence[TuningRecord], default: Config, unsteady: Mapping[Config, float]
) -> list[Config]:
    """All configs in doubt that may be within 1.5× of the best, the most promising first."""
    secs = pooled_secs(records, default, unsteady)
    limit_secs = _FACTOR * best_sure_secs(secs, unsteady)
    found = [one for one in secs if one in unsteady and secs[one] <= limit_secs]
    return sorted(found, key=secs.__getitem__)


def best_sure_secs(secs: Mapping[Config, float], unsteady: Mapping[Config, float]) -> float:
    """The best of those that are in no doubt, infinite where all are."""
    return min((secs[one] for one in secs if one not in unsteady), default=math.inf)


def pooled_secs(
    records: Sequence[TuningRecord], default: Config, unsteady: Mapping[Config, float]
) -> dict[Config, float]:
    """The latency of each config but the default, all repeats pooled, without those that ever were wrong.

    Censored times count only of those in doubt: on a slow machine too much is censored.
    """
    timings: dict[Config, list[Timing]] = defaultdict(list)
    wrong = {default}
    for record in records:
        if isinstance(record.measurement, Timing):
            if record.config in unsteady or not record.measurement.censored:
                timings[record.config].append(record.measurement)
        elif record.measurement.kind is FailureKind.WRONG_RESULT:
            wrong.add(record.config)
    return {
        config: Timing.pooled(found).secs / unsteady.get(config, 1.0)
        for config, found in timings.items()
        if config not in wrong
    }


def _contenders(
    records: Sequence[TuningRecord], default: Config, unsteady: Mapping[Config, float]
) -> list[Config]:
    secs = {one: each for one, each in pooled_secs(records, default, unsteady).items() if one not in unsteady}
    limit_secs = _FACTOR * min(secs.values(), default=math.inf)
    return sorted((one for one in secs if secs[one] <= limit_secs), key=secs.__getitem__)
