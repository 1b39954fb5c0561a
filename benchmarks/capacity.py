"""Capacity of packaged servers, held against another load generator (Locust) on the same machine.

    python benchmarks/capacity.py [--p99-ms 40] [--models squeezenet minilm dense]

SqueezeNet, whose file fixes the batch, and a small MiniLM of 64 tokens with batches of 1 to 8 are packaged; the
load of each package's server is studied, and the server is run in the setup that the study names. Locust then
offers Poisson loads (requests start at their times, whatever became of earlier ones, as in the study), and the
largest at which it finds the 99th percentile within the limit is bisected, each load by two of three tests. Study
and Locust take turns, since a shared machine holds another load ten minutes later: the median over turns of the
expected load by Locust's is to be 0.9 to 1.1. One processor is left to the load generators, since Locust needs
more of it than the study's: on the server's it would load another server. A network of large dense layers is
studied without a server: batches are to hold 1.3 times the load of one request after the other. Each study is to
take a minute at most. Three turns of two packages take fifteen minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import autotune
from autotune.deployment.engine import draw
from autotune.devices.device import local_device
from autotune.devices.device_url import parse_device
from autotune.models.input_spec import InputSpec
from autotune.throughput.bisection import Bracket, largest_holding
from autotune.throughput.inference_protocol import ServerAddress, infer_request
from autotune.throughput.libraries import open_library
from autotune.throughput.package_file import opened_package
from autotune.throughput.package_server import PackageServer
from autotune.throughput.prediction import steps

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from seeded_weights import light_model, with_seeded_weights
from trained_models import TRAINED_MODELS

#: Expected loads by the largest that Locust finds to hold.
_LEAST_RATIO, _MOST_RATIO = 0.9, 1.1
# Locust's loads that hold and that do not are as close as that, or it made so many tests of loads.
_RATIO, _MOST_LOADS = 1.05, 8
_USER = """
import random
import time
import gevent
from locust import FastHttpUser, task

class User(FastHttpUser):
    concurrency = 1000
    connection_timeout = network_timeout = 10.0

    @task
    def arrivals(self):
        at = time.perf_counter()
        while True:
            at += random.expovariate({rate})
            gevent.sleep(max(0.0, at - time.perf_counter()))
            gevent.spawn(self.infer)

    def infer(self):
        self.client.post({path!r}, data={body!r}, headers={headers!r}, name="infer")
"""


def dense(path: Path, width: int, depth: int) -> Path:
    """A network of dense layers whose weights do not fit into a cache, so that a batch costs little more than one."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(depth):
        values = (rng.standard_normal((width, width)) / width**0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"y{layer}"]))
        nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
    ends = [
        helper.make_tensor_value_info(f"x{end}", TensorProto.FLOAT, ("batch", width)) for end in (0, depth)
    ]
    graph = helper.make_graph(nodes, "dense", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def locust_p99_ms(
    address: ServerAddress, inputs: tuple[InputSpec, ...], per_second: float, secs: float, folder: Path
) -> float:
    """The 99th percentile of latency by Locust at a load, in milliseconds; infinite where requests failed."""
    body, headers = infer_request(inputs, draw(inputs, 0))
    script = folder / "locustfile.py"
    script.write_text(_USER.format(rate=per_second, path=f"{address.path}/infer", body=body, headers=headers))
    command = [sys.executable, "-m", "locust", "-f", str(script), "--headless", "--json"]
    command += ["-u", "1", "-r", "1", "-t", f"{secs:.0f}s", "--loglevel", "ERROR"]
    command += ["--host", f"http://{address.host}:{address.port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    [found] = json.loads(done.stdout)
    offered = found["num_requests"] / (found["last_request_timestamp"] - found["start_time"])
    times = {float(ms): count for ms, count in found["response_times"].items()}
    left = 0.01 * found["num_requests"]
    p99 = max(times)
    for ms in sorted(times, reverse=True):
        left -= times[ms]
        if left < 0:
            p99 = ms
            break
    print(f"    locust: {offered:.0f} of {per_second:.0f} requests a second, p99 {p99:.1f} ms", flush=True)
    # A generator that lags behind offers less than it should.
    return float("inf") if found["num_failures"] or offered < 0.93 * per_second else p99


def show(result: autotune.CapacityResult) -> None:
    """One line on a study, and its notices."""
    gain = "" if result.gain is None else f", {result.gain:.2f}x one after the other"
    print(
        f"{result.model}: p99 <= {1e3 * result.p99_limit_secs:g} ms at {result.expected_per_second:.0f} a second, "
        f"surely at {result.throughput_per_second:.0f}, simulated {result.predicted_per_second:.0f}; "
        f"{result.setup}{gain}; {result.secs:.0f} s"
    )
    for one in result.runs:
        print(
            f"    {one.setup}: {one.offered_per_second:.0f} a second, {one.requests} requests, p99 "
            f"{1e3 * one.p99.secs:.0f} ms, {'holds' if one.holds else 'meets' if one.meets else one.end.value}"
        )
    for notice in result.notices:
        print(f"    {notice}")


def squeezenet(folder: Path) -> autotune.Model:
    """SqueezeNet with seeded weights."""
    path = folder / "squeezenet.onnx"
    onnx.save(with_seeded_weights(onnx.load(light_model("squeezenet"))), path)
    return autotune.load_model(path)


def minilm(_folder: Path) -> autotune.DynamicModel:
    """A MiniLM of three layers with its trained weights, 64 tokens, and batches of 1 to 8."""
    [path] = [one.path for one in TRAINED_MODELS if one.name == "minilm"]
    return autotune.load_dynamic_model(
        path, dims={"batch_size": autotune.SizeRange(1, 8), "sequence_length": 64}
    )


def by_locust(package: Path, ours: autotune.CapacityResult, test_secs: float, folder: Path) -> Bracket:
    """The load that a package's server holds by Locust, in the setup that the study names."""
    limit_ms = 1e3 * ours.p99_limit_secs
    with opened_package(package) as found, PackageServer(found, ours.setup) as server:
        inputs = open_library(found.library, autotune.CapacityOptions().batches).model.inputs

        def holds(load: float) -> bool:
            """By two of three tests."""
            tests = iter(
                lambda: locust_p99_ms(server.address, inputs, load, test_secs, folder) <= limit_ms, None
            )
            first, second = next(tests), next(tests)
            return first if first is second else next(tests)

        return largest_holding(holds, ours.expected_per_second, _RATIO, steps(_MOST_LOADS))


def study(
    model: Path, options: argparse.Namespace, capacity: autotune.CapacityOptions | None = None
) -> tuple[autotune.CapacityResult, list[str]]:
    """The capacity of a model or package, which is shown, and the bar of its time where it was missed."""
    result = autotune.capacity(model, options.p99_ms, 0.17, options.time, capacity)
    show(result)
    is_late = result.secs > 60.0
    return result, [f"a study of {result.model} took {result.secs:.0f} s"] if is_late else []


def compare(model: str, folder: Path, options: argparse.Namespace) -> list[str]:
    """Studies a model's server and has Locust load it, in turns; the bars that were missed."""
    if options.packages:
        package = options.packages / model
    else:
        [package] = autotune.package(_PACKAGED[model](folder), folder, [autotune.ServerPackage()])
    beside = autotune.CapacityOptions(device=parse_device(f"local?threads={local_device().threads - 1}"))
    missed, ratios = [], []
    for _ in range(options.turns):
        result, late = study(package, options, beside)
        missed += late
        if result.setup is None or not result.expected_per_second:
            missed.append(f"no load of {model}'s server was found to hold")
            continue
        found = by_locust(package, result, options.locust_secs, folder)
        if not found.holds_per_second:
            missed.append(f"Locust found no load that {model}'s server holds")
            continue
        ratios.append(result.expected_per_second / found.holds_per_second)
        print(
            f"    expected {result.expected_per_second:.0f} a second, held by Locust {found.holds_per_second:.0f}: "
            f"{ratios[-1]:.2f}",
            flush=True,
        )
    if ratios:
        ratio = statistics.median(ratios)
        print(f"{model}: {ratio:.2f} of Locust's load, median of {len(ratios)} turns")
        if not _LEAST_RATIO <= ratio <= _MOST_RATIO:
            missed.append(f"the expected load of {model}'s server is {ratio:.2f} of what Locust finds")
    return missed


def main() -> None:
    """Runs the studies and the comparisons; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--p99-ms", type=float, default=40.0)
    parser.add_argument("--time", type=float, default=55.0)
    parser.add_argument("--models", nargs="+", choices=(*_PACKAGED, "dense"), default=[*_PACKAGED, "dense"])
    parser.add_argument("--packages", type=Path, help="a folder with a package of each model, made before")
    parser.add_argument("--locust-secs", type=float, default=8.0)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    if importlib.util.find_spec("locust") is None:
        parser.error("expected Locust; found none. Install the extra autotune[load]")
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            folder = Path(name) / model
            folder.mkdir()
            if model == "dense":
                result, late = study(dense(folder / "dense.onnx", 1536, 4), options)
                missed += late
                if (result.gain or 0.0) < 1.3:
                    missed.append(f"{model} gains {result.gain} where batches pay")
            else:
                missed += compare(model, folder, options)
    print("\n".join(f"MISSED: {one}" for one in missed) or "all bars are met")
    sys.exit(1 if missed else 0)


_PACKAGED = {"squeezenet": squeezenet, "minilm": minilm}

if __name__ == "__main__":
    main()
