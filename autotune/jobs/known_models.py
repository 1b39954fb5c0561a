"""The statuses of a job's models as a run begins: what the run before left, with what the job file says now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from autotune.jobs.device_run import DeviceRun
from autotune.jobs.status import JobStatus, ModelStatus


def known_models(
    device_runs: Sequence[DeviceRun], earlier: JobStatus | None
) -> dict[tuple[str, str], ModelStatus]:
    """The statuses by the model's name and its device's connection; earlier: the status that the last run left."""
    known = {(one.name, one.device): one for one in earlier.models} if earlier else {}
    found = {}
    for run in device_runs:
        for model in run.plan.models:
            key = (model.name, run.plan.device.connection)
            path = str(model.request.path) if model.request else None
            found[key] = msgspec.structs.replace(
                known.get(key, ModelStatus(name=model.name, device=key[1], path=path)),
                priority=model.priority,
                calls=dict(model.share.calls),
                needed_secs=model.request.needed_secs if model.request else None,
            )
    return found
