"""Calls a second of one built model by several threads: shared, and with a clone for each thread.

    python benchmarks/serving.py
    python benchmarks/serving.py --width 768 --batch 128 --repeats 9

A network of matrix products is built with default schedules. Ways of calling take turns; the best and the median of
the repeats are printed, and the latency of a call in the calling thread beside that in a thread of the model's own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import autotune

_THREADS = (1, 2, 4, 8)
_TURN_SECS = 0.5


def network(path: Path, width: int, batch: int, depth: int = 8) -> Path:
    """A file with a chain of matrix products and ReLUs."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(depth):
        values = (rng.standard_normal((width, width)) / width**0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"y{layer}"]))
        nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
    ends = [helper.make_tensor_value_info(f"x{end}", TensorProto.FLOAT, (batch, width)) for end in (0, depth)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def calls_per_sec(callables: list[Callable[..., Any]], x: Any, expected: Any) -> float:
    """The calls of all threads in a second, each with a callable of its own, checked against the expected output."""
    counts, stop = [0] * len(callables), threading.Event()
    started = threading.Barrier(len(callables) + 1)

    def work(number: int) -> None:
        callables[number](x)
        started.wait()
        while not stop.is_set():
            assert np.allclose(callables[number](x), expected, rtol=1e-3, atol=1e-5)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(callables))]
    for thread in threads:
        thread.start()
    started.wait()
    before, since = sum(counts), time.perf_counter()
    time.sleep(_TURN_SECS)
    found = (sum(counts) - before) / (time.perf_counter() - since)
    stop.set()
    for thread in threads:
        thread.join()
    return found


def call_micros(model: Callable[..., Any], x: Any, calls: int = 200) -> float:
    """The shortest mean of ten batches of calls from the main thread, in microseconds."""
    means = []
    for _ in range(10):
        since = time.perf_counter()
        for _ in range(calls):
            model(x)
        means.append((time.perf_counter() - since) / calls)
    return 1e6 * min(means)


def main() -> None:
    """Builds the network, takes turns, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = autotune.load_model(network(Path(folder) / "chain.onnx", options.width, options.batch))
        target = autotune.local_device().target
        saved = autotune.compile(model, target, autotune.TuningLog.in_memory()).save(
            Path(folder) / "chain.so"
        )
        x = np.random.default_rng(1).standard_normal((options.batch, options.width)).astype(np.float32)
        shared, single = autotune.load(saved), autotune.load(saved, threads=1)
        in_place = autotune.load(saved, threads=1, place=autotune.CallPlace.CALLING_THREAD)
    expected = shared(x)
    ways: dict[str, Callable[[int], list[Callable[..., Any]]]] = {
        "shared": lambda count: [shared] * count,
        "shared, 1 kernel thread": lambda count: [single] * count,
        "a clone each": lambda count: [shared.clone() for _ in range(count)],
        "a clone each, 1 kernel thread": lambda count: [single.clone() for _ in range(count)],
    }
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.repeats):
        for count in _THREADS:
            for name, callables in ways.items():
                found.setdefault((name, count), []).append(calls_per_sec(callables(count), x, expected))
    print(f"{'calls a second, best (median)':32}" + "".join(f"{count:>8} threads" for count in _THREADS))
    for name in ways:
        cells = [found[name, count] for count in _THREADS]
        print(f"{name:32}" + "".join(f"{max(one):8.0f} ({statistics.median(one):5.0f})" for one in cells))
    print(
        f"one call, 1 kernel thread: {call_micros(single, x):.0f} us, "
        f"in the calling thread {call_micros(in_place, x):.0f} us"
    )


if __name__ == "__main__":
    main()
