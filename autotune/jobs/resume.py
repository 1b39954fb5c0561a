"""The state of a job's earlier runs: status, prefix of their ids, time spent."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from autotune.jobs.job_file import JobRequest
from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_file import read_status
from tuning_logs import RecordStore, TuningRecord


@dataclass(frozen=True)
class Resumption:
    """The state that a job is resumed from.

    earlier: the last run's status, None where the job is new; run_prefix: how the ids of all its runs begin in the log,
    empty for a job without a folder, which nobody goes on with; spent_secs: what its runs have taken so far.
    """

    earlier: JobStatus | None
    run_prefix: str
    spent_secs: float

    def records(self, log: RecordStore) -> list[TuningRecord]:
        """The records of the earlier runs."""
        if self.earlier is None:
            return []
        return [one for one in log.iterate() if one.provenance.job.id.startswith(self.run_prefix)]


def resume(request: JobRequest, log: RecordStore) -> Resumption:
    """Reads the state of earlier runs from a job's folder and log.

    Raises AutotuneError where the folder's status cannot be read.
    """
    if request.output is None:
        return Resumption(None, "", 0.0)
    earlier = read_status(request.output)
    if earlier is None:
        name = re.sub(r"[^A-Za-z0-9_]+", "-", request.name).strip("-") or "job"
        return Resumption(None, f"{name}-{secrets.token_hex(4)}-", 0.0)
    found = Resumption(earlier, earlier.run_prefix, sum(run.secs for run in earlier.runs))
    if earlier.runs[-1].state is not JobState.RUNNING:
        return found
    # It was killed, and had no time to note its last seconds: its last record tells.
    last = max((one.provenance.time for one in found.records(log)), default=earlier.updated)
    unnoted = (datetime.fromisoformat(last) - datetime.fromisoformat(earlier.updated)).total_seconds()
    return Resumption(earlier, earlier.run_prefix, found.spent_secs + max(unnoted, 0.0))
