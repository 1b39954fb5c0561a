"""A log as a tidy table: one row per record, one column per fact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final

import pandas

from tuning_logs.records.measurement import Failure, Timing
from tuning_logs.records.record import TuningRecord

#: The columns in order, and what pandas holds them as. Missing values: no failure, no timing, no check.
COLUMNS: Final[Mapping[str, str]] = {
    "task": "string",  # the workload's key
    "workload": "string",  # the workload's name, for people
    "target": "string",
    "weight": "Int64",
    "device": "string",  # the device's key
    "device_name": "string",
    "space_version": "string",
    "config": "string",  # the config's key
    "answers": "string",  # the config as JSON: [[decision, answer], ...]
    "status": "string",  # ok or failed
    "failure": "string",  # the kind
    "message": "string",
    "secs": "float64",  # the median of the repeats
    "fastest_secs": "float64",
    "slowest_secs": "float64",
    "repeats": "Int64",
    "run_secs": "object",  # every repeat, as a tuple
    "censored": "boolean",
    "slowdown": "float64",  # of the machine meanwhile; secs is without it, run_secs with it
    "reference_slowdown": "float64",  # of the device, by its reference kernel; secs is not corrected by it
    "build_secs": "float64",
    "gflops_per_sec": "float64",  # missing where the workload's operations cannot be counted
    "max_abs_error": "float64",
    "max_rel_error": "float64",
    "gpu_registers": "Int64",  # of a thread; this and the next five are missing for other devices
    "gpu_spill_bytes": "Int64",  # of a thread
    "gpu_shared_bytes": "Int64",  # of a block, static ones
    "gpu_dynamic_shared_bytes": "Int64",  # of a block
    "gpu_threads": "Int64",  # of a block
    "gpu_occupancy": "float64",  # the share of a multiprocessor's warps that are resident
    "job": "string",
    "seed": "Int64",
    "sampler": "string",
    "trial": "Int64",
    "time": "datetime64[ns, UTC]",  # missing where the text in the log is no time
}


def frame_of(records: Iterable[TuningRecord]) -> pandas.DataFrame:
    """The records as a table with COLUMNS, in the order given; numbered from 0."""
    frame = pandas.DataFrame([_row(record) for record in records], columns=list(COLUMNS))
    frame["time"] = pandas.to_datetime(frame["time"], format="ISO8601", utc=True, errors="coerce")
    return frame.astype(dict(COLUMNS))


def _row(record: TuningRecord) -> dict[str, object]:
    task, device, provenance = record.task, record.device, record.provenance
    row: dict[str, object] = {
        "task": task.key,
        "workload": task.name,
        "target": str(task.target),
        "weight": task.weight,
        "device": device.key,
        "device_name": device.name,
        "space_version": record.space_version,
        "config": record.config.key,
        "answers": json.dumps(record.config.answers, separators=(",", ":")),
        "build_secs": record.measurement.build_secs,
        "job": provenance.job.id,
        "seed": provenance.job.seed,
        "sampler": provenance.job.sampler,
        "trial": provenance.trial,
        "time": provenance.time,
    }
    if record.check is not None:
        row |= {"max_abs_error": record.check.max_abs_error, "max_rel_error": record.check.max_rel_error}
    if record.gpu is not None:
        row |= {f"gpu_{name}": amount for name, amount in asdict(record.gpu).items()}
    return row | _measured(record.measurement, task.workload.flops)


def _measured(measurement: Timing | Failure, flops: float) -> dict[str, object]:
    if isinstance(measurement, Failure):
        return {"status": "failed", "failure": str(measurement.kind), "message": measurement.message}
    secs, usual_secs = measurement.secs, measurement.usual_secs
    return {
        "status": "ok",
        "secs": secs,
        "fastest_secs": min(usual_secs),
        "slowest_secs": max(usual_secs),
        "repeats": len(measurement.run_secs),
        "run_secs": measurement.run_secs,
        "censored": measurement.censored,
        "slowdown": measurement.slowdown,
        "reference_slowdown": measurement.reference_slowdown,
        "gflops_per_sec": flops / secs / 1e9 if flops else None,
    }
