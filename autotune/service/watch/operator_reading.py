"""One operator on one device: its best config and the next, its decisions, its trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autotune.reports.report import OperatorReport
from autotune.service.pages.job_facts import ConfigFacts, DecisionFacts, JobFacts, OperatorFacts
from search_spaces.decision import Answer
from tuning_logs import Timing, TuningRecord
from tuning_logs.file.followed_log import Answers, FollowedLog
from tuning_logs.selection.best_record import best_record, countable, pooled
from tuning_logs.selection.record_rows import CENSORED, STATUSES, Rows
from tuning_logs.selection.significance import is_beyond_noise

# Configs that answers are counted in, and dots of the chart, of operators with very many trials.
_MOST_CONFIGS: Final = 20_000
_MOST_DOTS: Final = 800
_SKETCH: Final = "sketch"


def read_operator(log: FollowedLog, rows: Rows, operator: OperatorReport, job: JobFacts) -> OperatorFacts:
    """The facts of an operator of a job from all its rows in the log."""
    best = best_record(rows, log.record)
    counted = countable(rows)
    rival = _rival(log, counted, best)
    configs = _fastest_of_each(rows)
    answers = list(log.answers(configs))
    counts = np.bincount(rows["status"], minlength=len(STATUSES))
    return OperatorFacts(
        operator,
        job.log.address,
        operator.device if job.has_status else None,
        _config(best) if best else None,
        _config(rival) if rival else None,
        bool(best and rival and is_beyond_noise(best.measurement, rival.measurement)),
        _decisions(best, rival, answers, configs["secs"]) if best else (),
        _sketches(answers, configs["secs"]),
        len(configs),
        _dots(rows),
        tuple(
            (STATUSES[kind], int(counts[kind])) for kind in range(CENSORED + 1, len(STATUSES)) if counts[kind]
        ),
    )


def _rival(log: FollowedLog, counted: Rows, best: TuningRecord | None) -> TuningRecord | None:
    """The fastest config but the best, with all its repeats."""
    if best is None:
        return None
    for row in counted[np.argsort(counted["secs"], kind="stable")][:64]:
        record = log.record(row)
        if (record.space_version, record.config) != (best.space_version, best.config):
            return pooled(log.records(counted[counted["program"] == row["program"]]))
    return None


def _fastest_of_each(rows: Rows) -> Rows:
    """The fastest row of each config, the fastest configs first."""
    ordered = rows[np.argsort(rows["secs"], kind="stable")]
    _, first = np.unique(ordered["program"], return_index=True)
    found: Rows = ordered[np.sort(first)[:_MOST_CONFIGS]]
    return found


def _decisions(
    best: TuningRecord,
    rival: TuningRecord | None,
    answers: Sequence[Answers],
    secs: NDArray[np.float64],
) -> tuple[DecisionFacts, ...]:
    """The decisions of the best config: against the rival's answers, and against all others of its sketch."""
    own_sketch = best.config.by_name.get(_SKETCH)
    alike = [
        (dict(one), float(each))
        for one, each in zip(answers, secs, strict=True)
        if dict(one).get(_SKETCH) == own_sketch
    ]
    found = []
    for name, answer in best.config.answers:
        others = (
            [(dict(one), float(each)) for one, each in zip(answers, secs, strict=True)]
            if name == _SKETCH
            else alike
        )
        otherwise = min((each for one, each in others if one.get(name) != answer), default=np.inf)
        theirs = rival.config.by_name.get(name) if rival else None
        found.append(
            DecisionFacts(
                name,
                show_answer(answer),
                "–" if theirs is None else show_answer(theirs),
                otherwise / best.secs if np.isfinite(otherwise) else None,
                len({one.get(name) for one, _ in others}),
            )
        )
    return tuple(found)


def _sketches(answers: Sequence[Answers], secs: NDArray[np.float64]) -> tuple[tuple[str, int, float], ...]:
    counts, fastest = Counter[str](), dict[str, float]()
    for one, each in zip(answers, secs.tolist(), strict=True):
        name = show_answer(dict(one).get(_SKETCH, "–"))
        counts[name] += 1
        fastest[name] = min(each, fastest.get(name, np.inf))
    return tuple((name, count, fastest[name]) for name, count in counts.most_common())


def _dots(rows: Rows) -> tuple[tuple[int, float], ...]:
    """(number, seconds) of trials that ran: all, or the improvements and an even sample of the others."""
    ran = np.flatnonzero(rows["status"] <= CENSORED)
    if len(ran) > _MOST_DOTS:
        secs = rows["secs"][ran]
        best = np.minimum.accumulate(secs)
        improved = ran[np.append(True, best[1:] < best[:-1])]
        even = ran[np.linspace(0, len(ran) - 1, _MOST_DOTS).astype(np.int64)]
        ran = np.union1d(improved, even)
    return tuple((int(place), float(rows["secs"][place])) for place in ran)


def _config(record: TuningRecord) -> ConfigFacts:
    measured = record.measurement
    assert isinstance(measured, Timing)
    low, high = (float(one) for one in np.quantile(measured.usual_secs, [0.25, 0.75]))
    return ConfigFacts(record.config.key, record.secs, low, high, len(measured.usual_secs))


def show_answer(answer: Answer) -> str:
    """An answer as people read it.

    >>> show_answer((4, 2))
    '4 × 2'
    """
    return " × ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)
