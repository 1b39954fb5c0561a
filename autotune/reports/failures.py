"""Failures of trials by kind, with the messages met most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autotune.reports.report import FailureReport
from tuning_logs import Failure, TuningRecord

_MESSAGES = 3
_MESSAGE_CHARS = 300


def failure_reports(records: Sequence[TuningRecord]) -> tuple[FailureReport, ...]:
    """The failures among records by kind, the most frequent first, with the messages met most."""
    failed = [one.measurement for one in records if isinstance(one.measurement, Failure)]
    kinds = Counter(str(failure.kind) for failure in failed)
    return tuple(
        FailureReport(kind, count, common_messages([one.message for one in failed if str(one.kind) == kind]))
        for kind, count in kinds.most_common()
    )


def common_messages(messages: Sequence[str]) -> tuple[str, ...]:
    """The messages met most, shortened."""
    counts = Counter(message[:_MESSAGE_CHARS] for message in messages)
    return tuple(message for message, _ in counts.most_common(_MESSAGES))
