"""A whole day: two models from upload to verdict on three devices, then packages that are installed, served, loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import emulated_arm
import numpy as np
import onnx
import onnxruntime
import pytest
from clean_environment import clean_environment, install
from onnx import TensorProto, helper, numpy_helper
from rpc_boards import Boards
from service_process import running_server

import autotune
from autotune.deployment.engine import draw
from autotune.service.client import Client
from autotune.service.documents import JobOrder, ModelOrder, ModelState, Needs, QueueState
from autotune.service.result_documents import ResultDocument
from autotune.throughput.arrivals import poisson_arrivals
from autotune.throughput.libraries import open_library
from autotune.throughput.load_run import End, StopRule
from autotune.throughput.load_worker import LoadWorker
from autotune.throughput.package_file import opened_package
from autotune.throughput.package_server import PackageServer
from autotune.throughput.server_load import Endpoint

ARM = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "autotune" / "arm64"
NEEDED = ("qemu-aarch64-static", "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
DEVICES = ("local", "local?threads=1", "arm")
LIMIT_MS = 100.0
LOAD_SECS, LOAD_SHARE = 30.0, 0.8

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.skipif(bool(MISSING), reason=f"not run without {', '.join(MISSING)} (make system)"),
]


class Graph:
    """A network under construction, with seeded weights."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, *shape: int) -> str:
        """A weight of that shape, scaled for sums over all but its last dimension."""
        return self.constant(self.rng.standard_normal(shape) / max(np.prod(shape[1:]), 1) ** 0.5)

    def constant(self, values: object, dtype: type = np.float32) -> str:
        """A constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """An operator; its output."""
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path, given: onnx.ValueInfoProto, shape: list[int | str]) -> Path:
        """Writes the network, whose output is `out`."""
        out = helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, path.stem, [given], [out], self.weights)
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
        return path


def small_squeezenet(path: Path) -> Path:
    """A convolution, a fire module of SqueezeNet, and its classifier, for images of 32 × 32."""
    net = Graph()
    stem = net.add("Relu", net.add("Conv", "image", net.weight(16, 3, 3, 3), strides=[2, 2]))
    squeezed = net.add("Relu", net.add("Conv", stem, net.weight(8, 16, 1, 1)))
    wide = [
        net.add("Relu", net.add("Conv", squeezed, net.weight(16, 8, 1, 1))),
        net.add("Relu", net.add("Conv", squeezed, net.weight(16, 8, 3, 3), pads=[1, 1, 1, 1])),
    ]
    scores = net.add("Conv", net.add("Concat", *wide, axis=1), net.weight(10, 32, 1, 1))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", scores)), output="out", axis=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 32, 32))
    return net.save(path, image, [1, 10])


def small_minilm(path: Path) -> Path:
    """A layer of MiniLM with 16 tokens and a width of 32: embedding, attention, GELU by erf, layer norms."""
    net, width = Graph(), 32
    ones, zeros = net.constant(np.ones(width)), net.constant(np.zeros(width))

    def dense(value: str, *shape: int) -> str:
        return net.add("MatMul", value, net.constant(net.rng.standard_normal(shape) / shape[0] ** 0.5))

    x = net.add("Gather", net.weight(50, width), "ids")
    query, key, value = (dense(x, width, width) for _ in range(3))
    sums = net.add("MatMul", query, net.add("Transpose", key, perm=[0, 2, 1]))
    shares = net.add("Softmax", net.add("Div", sums, net.constant(width**0.5)), axis=2)
    mixed = dense(net.add("MatMul", shares, value), width, width)
    x = net.add("LayerNormalization", net.add("Add", x, mixed), ones, zeros)
    hidden = dense(x, width, 64)
    erf = net.add("Erf", net.add("Div", hidden, net.constant(2.0**0.5)))
    gelu = net.add("Mul", net.add("Mul", hidden, net.add("Add", erf, net.constant(1.0))), net.constant(0.5))
    net.add("LayerNormalization", net.add("Add", x, dense(gelu, 64, width)), ones, zeros, output="out")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ("batch", 16))
    return net.save(path, ids, ["batch", 16, width])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulated ARM board."""
    boards = Boards(tmp_path_factory.mktemp("arm"))
    try:
        python = tuple(emulated_arm.command(emulated_arm.build(CACHE)))
        boards.start("arm", "--threads", "1", "--memory-mib", "900", python=python)
        yield f"rpc://{boards.tracker}/arm?target={ARM}"
    finally:
        boards.close()


def test_two_models_from_upload_to_a_loaded_server(tmp_path: Path, board: str) -> None:
    models = (small_squeezenet(tmp_path / "squeezenet.onnx"), small_minilm(tmp_path / "minilm.onnx"))
    log = tuned(models, tmp_path, board)
    by_wheel(models[0], log, tmp_path)
    by_server(models[1], log, tmp_path)


def tuned(models: tuple[Path, ...], folder: Path, board: str) -> Path:
    """Has the service tune the models on all devices, and holds its verdicts against the needs; the log."""
    home = folder / "service"
    home.mkdir()
    (home / "devices.toml").write_text(
        f'[[device]]\nname = "arm"\nconnection = "{board}"\nprice_per_hour = 0.02\n'
    )
    needs = Needs(latency_ms=20.0, throughput_per_second=1e6)
    with running_server(home) as server, Client(server.url, server.token) as client:
        uploaded = [client.examined(client.upload(path).id) for path in models]
        assert {one.state for one in uploaded} == {ModelState.READY}, uploaded
        assert all(one.examination.operators and one.examination.tasks for one in uploaded)
        orders = tuple(ModelOrder(one.id, needs=needs) for one in uploaded)
        found = client.wait(client.submit(JobOrder(orders, DEVICES, trials=12)).id)
        assert found.job.state is QueueState.FINISHED, found
        check(found)
        name = next(name for name in found.downloads if name.startswith("log.jsonl"))
        return client.download(found.job.id, name, folder / name)


def check(found: ResultDocument) -> None:
    """Every model has a verdict on every device, with a reason where it misses a need."""
    assert len(found.verdicts) == 2 * len(DEVICES)
    assert {one.device for one in found.verdicts} == set(DEVICES)
    for one in found.verdicts:
        assert one.secs and one.outputs_equal is not False, one
        missed = {miss.need: miss for miss in one.misses}
        # No build answers a million a second: the number that it missed by is said.
        assert missed["throughput_per_second"].found == one.throughput_per_second
        assert not one.is_chosen


def by_wheel(model: Path, log: Path, folder: Path) -> None:
    """Installs the model's wheel in a clean environment, and holds its outputs against ONNX Runtime's."""
    records = autotune.open_log(str(log))
    [wheel] = autotune.package(autotune.load_model(model), folder / "wheels", [autotune.Wheel()], records)
    python = clean_environment(folder / "environment")
    install(python, wheel)
    [image] = draw(autotune.load_model(model).inputs, 3)
    np.save(folder / "image.npy", image)
    program = (
        "import numpy as np, squeezenet; squeezenet.self_test(); "
        "np.save('out.npy', squeezenet.run(np.load('image.npy')))"
    )
    subprocess.run([python, "-c", program], cwd=folder, check=True, timeout=120)
    [expected] = onnxruntime.InferenceSession(model).run(None, {"image": image})
    np.testing.assert_allclose(np.load(folder / "out.npy"), expected, rtol=1e-3, atol=1e-5)


def by_server(model: Path, log: Path, folder: Path) -> None:
    """Finds the capacity of the model's server, and loads it with most of that."""
    network = autotune.load_dynamic_model(model, dims={"batch": autotune.SizeRange(1, 4)})
    records = autotune.open_log(str(log))
    [context] = autotune.package(network, folder / "servers", [autotune.ServerPackage()], records)
    result = autotune.capacity(context, LIMIT_MS, 0.17, 30.0)
    assert result.expected_per_second > 0.0, result.notices
    assert result.setup is not None
    load = LOAD_SHARE * result.expected_per_second
    arrivals = poisson_arrivals(load, int(LOAD_SECS * load), np.random.default_rng(1))
    with (
        opened_package(context) as package,
        PackageServer(package, result.setup) as server,
        LoadWorker() as generator,
    ):
        inputs = open_library(package.library, (1, 2, 4)).model.inputs
        endpoint = Endpoint(server.address, inputs)
        generator.closed_loop(endpoint, 4, 0.5)
        run = generator.open_loop(endpoint, arrivals, StopRule(LIMIT_MS / 1e3, len(arrivals)))
    assert run.end is End.FINISHED
    assert len(run.latencies) == len(arrivals)
    assert float(np.quantile(run.latencies, 0.99)) <= LIMIT_MS / 1e3
