"""Result of a study, from its findings."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.load_point import is_disturbed
from autotune.throughput.prediction import TAIL
from autotune.throughput.quantiles import least_requests
from autotune.throughput.study import Findings, StudySettings

# Of the processors, that other programs used in the middle of the runs.
_BUSY_SHARE = 0.1


@dataclass(frozen=True)
class Subject:
    """Subject of a study: the model, the device, its URL and its price, what serves the model, and notices on that."""

    model: str
    device: str
    connection: str
    price_per_hour: float | None
    served_by: str = ""
    notices: tuple[str, ...] = ()


def capacity_result(
    findings: Findings, settings: StudySettings, subject: Subject, secs: float
) -> CapacityResult:
    """The result of a study that took so many seconds."""
    return CapacityResult(
        subject.model,
        subject.device,
        subject.connection,
        settings.processors,
        settings.limit_secs,
        findings.best,
        findings.held_per_second,
        findings.bracket.holds_per_second,
        findings.bracket.fails_per_second,
        findings.predicted_per_second,
        findings.baseline,
        _compared(findings),
        subject.price_per_hour,
        findings.curve,
        findings.runs,
        findings.screened,
        settings.wait_secs,
        secs,
        subject.served_by,
        (*subject.notices, *_notices(findings, settings)),
    )


def _compared(findings: Findings) -> float:
    """The load of one request after the other; 0 where none failed in time, so that the gain is not known."""
    found = findings.baseline_bracket
    return (
        0.0
        if found.fails_per_second is None and findings.best != findings.baseline
        else found.holds_per_second
    )


def _notices(findings: Findings, settings: StudySettings) -> list[str]:
    """Sentences on what makes the figures doubtful."""
    found = []
    busy = statistics.median(one.busy_elsewhere for one in findings.runs) if findings.runs else 0.0
    if busy > _BUSY_SHARE * settings.processors:
        found.append(
            f"other programs used {busy:.1f} of {settings.processors} processors: an idle machine holds more"
        )
    late = sum(
        not one.meets and is_disturbed(one, settings.limit_secs, settings.processors) for one in findings.runs
    )
    if late:
        found.append(f"{late} of {len(findings.runs)} runs were disturbed; the throughput is a lower bound")
    if findings.held_per_second == 0.0:
        found.append(
            f"no load held the limit for sure, which takes {least_requests(TAIL)} requests in one run at least: "
            "give it more time, a larger limit, or a machine that does nothing else"
        )
    if findings.bracket.fails_per_second is None and findings.bracket.holds_per_second > 0.0:
        found.append(
            "the time was over before a load failed; the throughput is a lower bound: give it more time"
        )
    return found
