"""Operators on a GPU: tuned here, beside cuBLAS, PyTorch eager and Inductor (with its Triton kernels) on the same card.

    python benchmarks/gpu.py --target nvidia/nvidia-h100 --folder out/gpu
    python benchmarks/gpu.py --device opencl:0 --only softmax --trials 8 --folder out/gpu   # no rivals: a dry run

Every side is timed by the device's events on fresh random inputs, its caches emptied before each call; medians. One
JSON file for each operator, and the log of its trials beside it, which a later run goes on with.

No GPU has run this yet.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sides.torch_timing import event_secs, secs_by_name, torch_with_gpu
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.models.operators import operator_task
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Target, TuningTask
from search_spaces.tensor_ir.modules import workload
from tuning_logs import Timing, TuningLog, TuningRecord

FLUSH_BYTES = 256 << 20
REPEATS = 50
WARM_CALLS = 5
SEARCH = ("softmax", "layer_norm", "matmul_fp32", "depthwise")
FEW, MANY = 64, 1000


@dataclass(frozen=True)
class Operator:
    """An operator by name: our task, the rival's function of PyTorch tensors, and how these are made.

    bar: the least ratio of PyTorch eager's time to ours; for matrix products eager is cuBLAS.
    """

    name: str
    task: Callable[[Target], TuningTask]
    rival: Callable[[Any], Callable[..., Any]]
    inputs: Callable[[Any], tuple[Any, ...]]
    bar: float


def _matmul(dtype: str, side: int = 4096, depth: int = 4096) -> Callable[[Target], TuningTask]:
    def task(target: Target) -> TuningTask:
        total = "int32" if dtype == "int8" else "float32"
        func = te.create_prim_func(te_workload.matmul(side, side, depth, dtype, total))
        return TuningTask(workload(func, f"matmul-{dtype}"), target)

    return task


def _named(text: str) -> Callable[[Target], TuningTask]:
    return lambda target: operator_task(text, target)


def _gelu(target: Target) -> TuningTask:
    x = te.placeholder((4096, 4096), name="x")
    half, root = te.const(0.5, "float32") if hasattr(te, "const") else 0.5, 0.70710678
    y = te.compute(x.shape, lambda i, j: half * x[i, j] * (1.0 + te.erf(x[i, j] * root)), name="y")
    return TuningTask(workload(te.create_prim_func([x, y]), "gelu"), target)


def _square(torch: Any, dtype: str, count: int) -> tuple[Any, ...]:
    kind = getattr(torch, dtype)
    return tuple(torch.randn(4096, 4096, device="cuda").to(kind) for _ in range(count))


OPERATORS = {
    one.name: one
    for one in (
        Operator(
            "softmax",
            _named("softmax:4096,4096"),
            lambda torch: lambda x: torch.softmax(x, -1),
            lambda torch: _square(torch, "float32", 1),
            1.0,
        ),
        Operator(
            "layer_norm",
            _named("layer_norm:4096,1024"),
            lambda torch: lambda x, g, b: torch.nn.functional.layer_norm(x, (1024,), g, b),
            lambda torch: (torch.randn(4096, 1024, device="cuda"), *torch.randn(2, 1024, device="cuda")),
            1.0,
        ),
        Operator(
            "gelu",
            _gelu,
            lambda torch: torch.nn.functional.gelu,
            lambda torch: _square(torch, "float32", 1),
            1.0,
        ),
        Operator(
            "depthwise",
            _named("depthwise_conv2d_nhwc:16,56,56,128,3,1,1"),
            lambda torch: lambda x, w: torch.nn.functional.conv2d(x, w, padding=1, groups=128),
            lambda torch: (
                torch.randn(16, 128, 56, 56, device="cuda").to(memory_format=torch.channels_last),
                torch.randn(128, 1, 3, 3, device="cuda"),
            ),
            1.0,
        ),
        Operator(
            "matmul_fp32",
            _matmul("float32"),
            lambda torch: torch.matmul,
            lambda torch: _square(torch, "float32", 2),
            0.8,
        ),
        Operator(
            "matmul_fp16",
            _matmul("float16"),
            lambda torch: torch.matmul,
            lambda torch: _square(torch, "float16", 2),
            0.5,
        ),
        Operator(
            "matmul_int8",
            _matmul("int8"),
            lambda torch: torch._int_mm,
            lambda torch: torch.randint(-128, 128, (2, 4096, 4096), dtype=torch.int8, device="cuda").unbind(),
            0.5,
        ),
        Operator(
            "matmul_split",
            _matmul("float16", 128, 32768),
            lambda torch: torch.matmul,
            lambda torch: (
                torch.randn(128, 32768, device="cuda").half(),
                torch.randn(32768, 128, device="cuda").half(),
            ),
            0.5,
        ),
    )
}


def tuned(operator: Operator, device: Device, trials: int, folder: Path) -> list[TuningRecord]:
    """The records of an operator, with as many trials as were asked for in all its runs together."""
    with TuningLog.open(folder / f"{operator.name}.jsonl") as log:
        task = operator.task(device.target)
        left = trials - max(len(list(log.where(task=task))) - 1, 0)
        if left > 0:
            for _ in Tuner(TuningJob((task,), device, Budget(trials=left)), log).rounds():
                pass
        return list(log.where(task=task))


def rival_secs(operator: Operator) -> dict[str, float]:
    """Medians of PyTorch's kernels, eager and compiled; none where PyTorch or a GPU is missing."""
    torch = torch_with_gpu()
    if torch is None:
        return {}
    torch.backends.cuda.matmul.allow_tf32 = False
    eager = operator.rival(torch)
    engines = {"torch": eager, "inductor": torch.compile(eager, mode="max-autotune-no-cudagraphs")}
    measures = {name: partial(_rival_secs, torch, function, operator) for name, function in engines.items()}
    return secs_by_name(operator.name, measures)


def _rival_secs(torch: Any, function: Callable[..., Any], operator: Operator) -> float:
    buffers = [operator.inputs(torch) for _ in range(4)]
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device="cuda")
    return event_secs(torch, lambda number: function(*buffers[number % 4]), REPEATS, WARM_CALLS, flush.zero_)


def best_after(records: list[TuningRecord], trials: int) -> float | None:
    """The fastest of the first so many candidates, None where none ran."""
    timed = [one.measurement.secs for one in records[: trials + 1] if isinstance(one.measurement, Timing)]
    return min(timed, default=None)


def measured(operator: Operator, device: Device, trials: int, folder: Path) -> dict[str, Any]:
    """One operator's figures."""
    records = tuned(operator, device, trials, folder)
    ours, rivals = best_after(records, len(records)), rival_secs(operator)
    eager = rivals.get("torch")
    ratio = eager / ours if eager and ours else None
    failures = sum(not isinstance(one.measurement, Timing) for one in records)
    return {
        "operator": operator.name, "device": device.fingerprint.name, "facts": dict(device.fingerprint.facts),
        "trials": len(records), "failures": failures, "ours_secs": ours, "rival_secs": rivals, "ratio": ratio,
        "bar": operator.bar, "reached": None if ratio is None else ratio >= operator.bar,
    }  # fmt: skip


def searched(device: Device, trials: int, folder: Path) -> dict[str, Any]:
    """The best after 64 trials over the best after all, for four operators."""
    ratios = {}
    for name in SEARCH:
        records = tuned(OPERATORS[name], device, trials, folder)
        few, many = best_after(records, FEW), best_after(records, len(records))
        ratios[name] = few / many if few and many else None
    return {"trials": trials, "best_after_64_over_best": ratios, "bar": 1.1}


def main() -> None:
    """Writes a JSON file for each operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="by default cuda:0 with the target")
    parser.add_argument("--target", default="nvidia/nvidia-h100", help="TVM's tag for the GPU")
    parser.add_argument("--only", nargs="*", choices=[*OPERATORS, "search"], default=list(OPERATORS))
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("out/gpu"))
    given = parser.parse_args()
    device = parse_device(given.device or f"cuda:0?target={given.target}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        if name == "search":
            found = searched(device, min(given.trials, MANY), given.folder)
        else:
            found = measured(OPERATORS[name], device, given.trials, given.folder)
        (given.folder / f"{name}.json").write_text(json.dumps(found, indent=2))
        print(json.dumps(found))


if __name__ == "__main__":
    main()
