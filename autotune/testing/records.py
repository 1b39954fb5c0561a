"""Sample tuning records for tests of what reads or stores them."""

from __future__ import annotations

from typing import TypedDict, Unpack

from search_spaces.config import Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import Check, DeviceFingerprint, Job, Measurement, Provenance, Timing, TuningRecord


class RecordFields(TypedDict, total=False):
    """Parameters of a sample record: names of the workload and the job, the text of the target, the threads
    of the device, one answer of the config, and whole values."""

    workload: str
    target: str
    threads: int
    tile: tuple[int, ...]
    measurement: Measurement
    space_version: str
    check: Check
    job: str


def make_record(trial: int = 0, **fields: Unpack[RecordFields]) -> TuningRecord:
    """A record with every field set; equal arguments give equal records."""
    workload, threads = fields.get("workload", "matmul"), fields.get("threads", 2)
    target = Target.parse(fields.get("target", "llvm -mcpu=znver4 -num-cores=2"))
    versions = {"autotune": "0.1.0", "python": "3.11.9"}
    job = Job(fields.get("job", "job-1"), 42, "random", "2026-01-01T00:00:00Z", versions)
    return TuningRecord(
        TuningTask(
            Workload(workload.encode().hex().rjust(32, "0"), workload, f"module of {workload}", 2.0e9),
            target,
            3,
        ),
        DeviceFingerprint(
            f"cpu with {threads} threads", {"cpu_model": "EPYC", "cores": 2, "threads": threads}
        ),
        fields.get("space_version", "tensor_ir-1"),
        Config((("sketch", "sketch-0"), ("tile", fields.get("tile", (8, 4))), ("unroll", 16))),
        fields.get("measurement", Timing((0.002, 0.001, 0.003), 0.25)),
        fields.get("check"),
        Provenance(job, trial, f"2026-01-01T00:{trial // 60 % 60:02d}:{trial % 60:02d}Z"),
    )
