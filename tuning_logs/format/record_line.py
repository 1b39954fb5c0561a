"""Turns records and what they refer to into lines, and the values in lines back into measurements."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict
from functools import lru_cache
from sys import intern
from typing import Literal

from msgspec import UNSET, UnsetType, structs
from msgspec.structs import replace

from search_spaces.config import Config
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.format.line import (
    LONGEST_MESSAGE,
    WITH_GPU_OR_SLOWDOWN,
    WITH_LAUNCH,
    WITH_REFERENCE_SLOWDOWN,
    WITH_TRACE,
    CheckValue,
    DeviceLine,
    FailureValue,
    GpuValue,
    JobLine,
    RecordLine,
    TimingValue,
    TraceLine,
    UnreadableLine,
    WorkloadLine,
)
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.gpu_resources import GpuResources
from tuning_logs.records.measurement import Check, Failure, Measurement, Timing
from tuning_logs.records.record import Job, Provenance, TuningRecord

_CUT = " … "


def workload_line(workload: Workload) -> WorkloadLine:
    """The line that defines a workload."""
    return WorkloadLine(
        key=workload.key, name=workload.name, module=workload.module, flops=float(workload.flops)
    )


def device_line(device: DeviceFingerprint) -> DeviceLine:
    """The line that defines a device."""
    return DeviceLine(key=device.key, name=device.name, facts=dict(device.facts))


def job_line(job: Job) -> JobLine:
    """The line that defines a job."""
    return JobLine(
        id=job.id, seed=job.seed, sampler=job.sampler, started=job.started, versions=dict(job.versions)
    )


def trace_line(text: str) -> TraceLine:
    """The line that defines a trace."""
    return TraceLine(key=_trace_key(text), text=text)


def record_line(record: TuningRecord) -> RecordLine:
    """The line of a record; its failure's message is cut to LONGEST_MESSAGE characters."""
    line = RecordLine(
        task=record.task.key,
        target=str(record.task.target),
        weight=record.task.weight,
        device=record.device.key,
        space=record.space_version,
        config=record.config.answers,
        measurement=_measurement_value(record.measurement),
        check=None if record.check is None else _check_value(record.check),
        job=record.provenance.job.id,
        trial=record.provenance.trial,
        time=record.provenance.time,
    )
    if record.trace is not None:
        line = replace(line, schema=WITH_TRACE, trace=_trace_key(record.trace))
    if record.gpu is not None:
        line = replace(line, schema=WITH_GPU_OR_SLOWDOWN, gpu=_gpu_value(record.gpu))
    measurement = record.measurement
    if isinstance(measurement, Timing) and measurement.slowdown != 1.0:
        line = replace(line, schema=WITH_GPU_OR_SLOWDOWN)
    if isinstance(measurement, Timing) and measurement.reference_slowdown != 1.0:
        line = replace(line, schema=WITH_REFERENCE_SLOWDOWN)
    if record.gpu is not None and record.gpu.threads is not None:
        line = replace(line, schema=WITH_LAUNCH)
    return line


def defined_by(line: WorkloadLine | DeviceLine | JobLine) -> Workload | DeviceFingerprint | Job:
    """The definition in a line. Raises UnreadableLine where a device's key is not that of its facts."""
    match line:
        case WorkloadLine():
            return Workload(line.key, line.name, line.module, line.flops)
        case JobLine():
            return Job(line.id, line.seed, line.sampler, line.started, line.versions)
    device = DeviceFingerprint(line.name, line.facts)
    if device.key != line.key:
        raise UnreadableLine(f"the device's key is {line.key}, but the digest of its facts {device.key}")
    return device


def trace_of(line: TraceLine) -> str:
    """The trace that the line defines. Raises UnreadableLine where its key is not that of its text."""
    if _trace_key(line.text) != line.key:
        raise UnreadableLine(f"the trace's key is {line.key}, but the digest of it {_trace_key(line.text)}")
    return line.text


def record_of(
    line: RecordLine, task: TuningTask, device: DeviceFingerprint, job: Job, trace: str | None
) -> TuningRecord:
    """The record of a line, given the definitions that it refers to."""
    return TuningRecord(
        task,
        device,
        intern(line.space),
        # A log asks the same questions over and over: hold each name only once.
        Config(tuple((intern(name), answer) for name, answer in line.config)),
        measurement_of(line),
        check_of(line),
        Provenance(job, line.trial, line.time),
        trace,
        None if line.gpu is UNSET else _gpu_resources(line.gpu),
    )


def measurement_of(line: RecordLine) -> Measurement:
    """The measurement in a line."""
    value = line.measurement
    if isinstance(value, TimingValue):
        slowdown = 1.0 if value.slowdown is UNSET else value.slowdown
        reference_slowdown = 1.0 if value.reference_slowdown is UNSET else value.reference_slowdown
        return Timing(value.run_secs, value.build_secs, value.censored, slowdown, reference_slowdown)
    return Failure(value.failure, value.message, value.build_secs)


def check_of(line: RecordLine) -> Check | None:
    """The output check in a line."""
    value = line.check
    return None if value is None else Check(float(value.max_abs_error), float(value.max_rel_error))


@lru_cache(maxsize=1024)
def _trace_key(text: str) -> str:
    # One for thousands of records.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _measurement_value(measurement: Measurement) -> TimingValue | FailureValue:
    if isinstance(measurement, Timing):
        return TimingValue(
            run_secs=tuple(map(float, measurement.run_secs)),
            build_secs=float(measurement.build_secs),
            censored=measurement.censored,
            slowdown=_slowdown_value(measurement.slowdown),
            reference_slowdown=_slowdown_value(measurement.reference_slowdown),
        )
    return FailureValue(
        failure=measurement.kind,
        message=_shortened(measurement.message),
        build_secs=float(measurement.build_secs),
    )


def _gpu_value(resources: GpuResources) -> GpuValue:
    return GpuValue(**{name: amount for name, amount in asdict(resources).items() if amount is not None})


def _gpu_resources(value: GpuValue) -> GpuResources:
    return GpuResources(
        **{name: amount for name, amount in structs.asdict(value).items() if amount is not UNSET}
    )


def _slowdown_value(slowdown: float) -> float | UnsetType:
    return UNSET if slowdown == 1.0 else float(slowdown)


def _check_value(check: Check) -> CheckValue:
    return CheckValue(
        max_abs_error=_deviation(check.max_abs_error), max_rel_error=_deviation(check.max_rel_error)
    )


def _deviation(error: float) -> float | Literal["inf", "nan"]:
    if math.isnan(error):
        return "nan"
    return "inf" if error == math.inf else float(error)


def _shortened(message: str) -> str:
    # A compiler's output may hold bytes that are no text; a message must never be why a record is lost.
    text = message.encode("utf-8", "replace").decode()
    if len(text) <= LONGEST_MESSAGE:
        return text
    head = LONGEST_MESSAGE // 2
    return text[:head] + _CUT + text[len(text) - (LONGEST_MESSAGE - head - len(_CUT)) :]
