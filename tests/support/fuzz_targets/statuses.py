"""Status files of jobs: read and shown, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    Latency,
    ModelStatus,
    Offer,
    Operator,
    RunStatus,
    TaskStatus,
)
from autotune.jobs.status_file import read_status
from autotune.jobs.status_tables import device_table, model_table, offer_table, task_table, warnings
from fuzz_targets.edits import edited
from search_spaces.errors import AutotuneError

_LATENCY = Latency(1e-3, 9e-4, 2e-3, (1e-3, 1e-3))
_MODEL = ModelStatus(
    name="m",
    device="local",
    before=_LATENCY,
    after=_LATENCY,
    estimated_secs=1.0,
    operators=(Operator("conv", "k", 1, "tuned", "", 1.0, 0.5, 0.9),),
    calls={"k": 1},
)
_DEVICE = DeviceStatus(
    name="local", connection="local", target="llvm", fingerprint="f", threads=2, facts={"a": 1}
)
_OFFER = Offer(
    model="m",
    device="local",
    connection="local",
    secs=1e-3,
    is_measured=True,
    price_per_hour=1.0,
    price_per_million=1.0,
    needed_secs=None,
    is_enough=None,
)
_WHOLE = JobStatus(
    name="night",
    run_prefix="x",
    state=JobState.FINISHED,
    activity="done",
    log="log.jsonl",
    updated="2026-01-01T00:00:00Z",
    secs=10.0,
    eta_secs=None,
    budget=BudgetStatus(trials=100, secs=3600.0, gain_per_hour=0.01),
    trials=50,
    expected_gain_per_hour=0.1,
    runs=(RunStatus(started="2026-01-01T00:00:00Z", secs=10.0, pid=1, state=JobState.FINISHED),),
    models=(_MODEL,),
    devices=(_DEVICE,),
    offers=(_OFFER,),
    tasks=(TaskStatus(name="conv", key="k", device="local", calls=1, flops=1e6, trials=5, default_secs=1.0),),
    failures={"build": 1},
)


def seeds() -> Iterator[bytes]:
    """A whole status, one with a latency of nothing, and edits."""
    yield b"\x00" + msgspec.json.encode(_WHOLE)
    yield b"\x00" + msgspec.json.encode(_WHOLE).replace(b'"secs":0.001', b'"secs":0.000')
    for number in range(10):
        yield bytes([0x80]) + bytes(range(7 * number, 40 + 7 * number))


def read(data: bytes, folder: Path) -> None:
    """Reads a status, and makes its tables."""
    kind, data = data[:1], data[1:]
    path = folder / "status.json"
    if kind < b"\x80":
        path.write_bytes(data)
    else:
        try:
            path.write_bytes(msgspec.json.encode(edited(msgspec.to_builtins(_WHOLE), data)))
        except (TypeError, ValueError, OverflowError):
            return
    with contextlib.suppress(AutotuneError):
        status = read_status(folder)
        assert status is not None
        for show in (warnings, task_table, model_table, offer_table, device_table):
            show(status)
