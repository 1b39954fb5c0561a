"""The status of a job that may have been killed before it could say so."""

from __future__ import annotations

import msgspec
import psutil

from autotune.jobs.status import JobState, JobStatus


def with_true_state(status: JobStatus) -> JobStatus:
    """The status, stopped where its process is gone."""
    if status.state is not JobState.RUNNING or not status.runs or psutil.pid_exists(status.runs[-1].pid):
        return status
    return msgspec.structs.replace(
        status, state=JobState.STOPPED, activity="killed; the same command goes on"
    )
