"""Capacity of served models, held against another load generator (Locust) on the same machine.

    python benchmarks/capacity.py
    python benchmarks/capacity.py --p99-ms 30 --url http://localhost:8000/v2/models/squeezenet

In process: SqueezeNet, whose file fixes the batch, and a network of large dense layers, whose batch is free. The study
of each is to take at most a minute, and the best way of serving the second is to hold 1.3 times the load of one request
after the other. At a server: the capacity of the one at --url, or of a plain server in this file with one instance,
is compared with the load at which Locust's 99th percentile crosses the limit, by bisection; they are to be within a
tenth. Locust's users pause for exponential times, so that many of them offer a nearly Poisson load.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import autotune
from autotune.deployment.engine import draw
from autotune.throughput.bisection import largest_holding
from autotune.throughput.inference_protocol import infer_request, parse_url
from autotune.throughput.prediction import steps
from autotune.throughput.server_load import inputs_of

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from seeded_weights import light_model, with_seeded_weights

_USERS = 200
_USER = """
import random
from locust import FastHttpUser, task

class User(FastHttpUser):
    connection_timeout = network_timeout = 10.0

    def wait_time(self):
        return random.expovariate({rate})

    @task
    def infer(self):
        self.client.post({path!r}, data={body!r}, headers={headers!r}, name="infer")
"""
_SERVER = """
import sys, numpy as np, msgspec, uvicorn
from concurrent.futures import ThreadPoolExecutor
from asyncio import get_running_loop
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
import autotune
from autotune.deployment.executable import read_facts

path, port = sys.argv[1], int(sys.argv[2])
[spec] = read_facts(path).inputs
executor = ThreadPoolExecutor(1)
model = autotune.load(path, place=autotune.CallPlace.CALLING_THREAD)

async def describe(request):
    return JSONResponse({{"name": "model", "inputs": [{{"name": spec.name, "datatype": "FP32", "shape": spec.shape}}]}})

async def infer(request):
    body = await request.body()
    head = int(request.headers["inference-header-content-length"])
    array = np.frombuffer(body, np.float32, offset=head).reshape(spec.shape)
    found = await get_running_loop().run_in_executor(executor, model, array)
    return Response(np.asarray(found).tobytes(), media_type="application/octet-stream")

routes = [Route("/v2/models/model", describe), Route("/v2/models/model/infer", infer, methods=["POST"])]
uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")
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


@contextmanager
def plain_server(library: Path, port: int = 8123) -> Iterator[str]:
    """A server with one instance, Starlette and uvicorn alone; its URL."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER.format(), str(library), str(port)])
    url = f"http://127.0.0.1:{port}/v2/models/model"
    try:
        for _ in range(100):
            time.sleep(0.3)
            try:
                inputs_of(parse_url(url))
                break
            except autotune.AutotuneError:
                continue
        yield url
    finally:
        process.kill()
        process.wait()


def locust_p99_ms(url: str, per_second: float, secs: float, folder: Path) -> float:
    """The 99th percentile of latency by Locust at a load, in milliseconds; infinite where requests failed."""
    address = parse_url(url)
    inputs = inputs_of(address)
    body, headers = infer_request(inputs, draw(inputs, 0))
    script = folder / "locustfile.py"
    script.write_text(
        _USER.format(rate=per_second / _USERS, path=f"{address.path}/infer", body=body, headers=headers)
    )
    command = [sys.executable, "-m", "locust", "-f", str(script), "--headless", "--json", "--reset-stats"]
    command += ["-u", str(_USERS), "-r", str(_USERS), "-t", f"{secs:.0f}s", "--loglevel", "ERROR"]
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
    # Users that wait for answers offer less than they should.
    return float("inf") if found["num_failures"] or offered < 0.93 * per_second else p99


def show(result: autotune.CapacityResult) -> None:
    """One line on a study, and its notices."""
    gain = "" if result.gain is None else f", {result.gain:.2f}x one after the other"
    print(
        f"{result.model}: p99 <= {1e3 * result.p99_limit_secs:g} ms at {result.expected_per_second:.0f} a second, "
        f"surely at {result.throughput_per_second:.0f}, simulated {result.predicted_per_second:.0f}; "
        f"{result.setup}{gain}; {result.secs:.0f} s"
    )
    for notice in result.notices:
        print(f"    {notice}")


def main() -> None:
    """Runs the studies, then the comparison; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--p99-ms", type=float, default=20.0)
    parser.add_argument("--time", type=float, default=58.0)
    parser.add_argument("--url", help="of a model at a running server; by default a plain one is started")
    parser.add_argument("--locust-secs", type=float, default=12.0)
    options = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        squeezenet = folder / "squeezenet.onnx"
        onnx.save(with_seeded_weights(onnx.load(light_model("squeezenet"))), squeezenet)
        log = autotune.TuningLog.in_memory()
        target = autotune.local_device().target
        library = autotune.compile(autotune.load_model(squeezenet), target, log).save(
            folder / "squeezenet.so"
        )
        fixed = autotune.capacity(library, options.p99_ms, 0.17, options.time)
        free = autotune.capacity(dense(folder / "dense.onnx", 1536, 4), options.p99_ms, 0.17, options.time)
        for result in (fixed, free):
            show(result)
            if result.secs > 60.0:
                missed.append(f"the study of {result.model} took {result.secs:.0f} s")
        if (free.gain or 0.0) < 1.3:
            missed.append(f"{free.model} gains {free.gain} where batches pay")
        with plain_server(library) if options.url is None else _running(options.url) as url:
            ours = autotune.capacity(url, options.p99_ms, 0.17, options.time)
            show(ours)
            theirs = largest_holding(
                lambda load: locust_p99_ms(url, load, options.locust_secs, folder) <= options.p99_ms,
                ours.expected_per_second,
                1.05,
                steps(10),
            )
        ratio = ours.expected_per_second / (theirs.holds_per_second or float("nan"))
        print(
            f"at the server: {ours.expected_per_second:.0f} a second, by Locust {theirs}; ratio {ratio:.2f}"
        )
        if not 0.9 <= ratio <= 1.1:
            missed.append(f"the capacity of the server is {ratio:.2f} of what Locust finds")
    print("\n".join(f"MISSED: {one}" for one in missed) or "all bars are met")
    sys.exit(1 if missed else 0)


@contextmanager
def _running(url: str) -> Iterator[str]:
    yield url


if __name__ == "__main__":
    main()
