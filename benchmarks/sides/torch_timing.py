"""Latencies of PyTorch on a GPU by the device's own events (imports PyTorch where it is there)."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Mapping
from typing import Any

#: The number of a call, from 0 on.
Call = Callable[[int], object]


def torch_with_gpu() -> Any | None:
    """PyTorch where it is installed and sees a GPU, None elsewhere."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


def event_secs(torch: Any, call: Call, calls: int, warm_calls: int, prepare: Callable[[], object]) -> float:
    """The median of so many calls after warm ones, in seconds; each is prepared before its time begins."""
    secs = []
    for number in range(warm_calls + calls):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        prepare()
        start.record()
        call(number)
        end.record()
        torch.cuda.synchronize()
        secs.append(start.elapsed_time(end) / 1e3)
    return statistics.median(secs[warm_calls:])


def secs_by_name(title: str, measures: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The result of each measure; one that fails is printed and left out."""
    found = {}
    for name, measure in measures.items():
        try:
            found[name] = measure()
        except Exception as error:  # noqa: BLE001 - a rival that fails has no time
            print(f"{title}: {name} failed: {error}")
    return found
