"""Fixture: a factory of tuning records."""

from collections.abc import Callable

import pytest

from search_spaces.config import Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import Check, DeviceFingerprint, Job, Measurement, Provenance, Timing, TuningRecord

MakeRecord = Callable[..., TuningRecord]


def make_record(
    trial: int = 0,
    *,
    workload: str = "matmul",
    target: str = "llvm -mcpu=znver4 -num-cores=2",
    threads: int = 2,
    tile: tuple[int, ...] = (8, 4),
    measurement: Measurement | None = None,
    space_version: str = "tensor_ir-1",
    check: Check | None = None,
    job: str = "job-1",
) -> TuningRecord:
    """A record with every field set; equal arguments give equal records."""
    return TuningRecord(
        TuningTask(
            Workload(workload.encode().hex().rjust(32, "0"), workload, f"module of {workload}", 2.0e9),
            Target.parse(target),
            3,
        ),
        DeviceFingerprint(
            f"cpu with {threads} threads", {"cpu_model": "EPYC", "cores": 2, "threads": threads}
        ),
        space_version,
        Config((("sketch", "sketch-0"), ("tile", tile), ("unroll", 16))),
        measurement or Timing((0.002, 0.001, 0.003), 0.25),
        check,
        Provenance(
            Job(job, 42, "random", "2026-01-01T00:00:00Z", {"autotune": "0.1.0", "python": "3.11.9"}),
            trial,
            f"2026-01-01T00:{trial // 60 % 60:02d}:{trial % 60:02d}Z",
        ),
    )


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """Makes a record; see `make_record`."""
    return make_record
