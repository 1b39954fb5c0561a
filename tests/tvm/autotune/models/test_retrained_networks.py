"""Records keep applying: a network has the same keys after it was trained again, whatever its weights are then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.deployment.coverage import Status
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.config import UNTOUCHED
from search_spaces.errors import IllegalSchedule
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord
from tuning_logs.selection.schedule_choice import Origin, ScheduleChooser

IMAGE, ROWS, QUANTIZED = "float[1,8,6,6]", "float[4,32]", "uint8[4,32]"
#: By name: the input, the weights with their shapes, and the nodes. Weights whose names begin with s or z are scalars'
#: and zero points'; those that begin with p are positive.
NETWORKS = {
    "scalar factor": (IMAGE, "s:", "y = Mul(x, s)"),
    "scalar summand": (IMAGE, "s:", "y = Add(s, x)"),
    "scalar divisor": (IMAGE, "ps:", "y = Div(x, ps)"),
    "of one element": (IMAGE, "a:1 b:1,1,1,1", "h = Mul(x, a) y = Sub(h, b)"),
    "per channel": (IMAGE, "a:8,1,1 b:8,1,1", "h = Mul(x, a) y = Add(h, b)"),
    "layer scale": (ROWS, "w:32,32 a:32", "h = MatMul(x, w) i = Mul(h, a) y = Add(x, i)"),
    "gate": (ROWS, "w:32,32 s:", "h = MatMul(x, w) i = Mul(h, s) y = Add(x, i)"),
    "logit scale": (ROWS, "w:32,16 s:", "e = Exp(s) h = MatMul(x, w) y = Mul(h, e)"),
    "temperature": (ROWS, "ps:", "h = Div(x, ps) y = Softmax(h)"),
    "learned clip": (IMAGE, "w:8,8,1,1 s1: s2:", "h = Conv(x, w) i = Max(h, s1) y = Min(i, s2)"),
    "learned threshold": (ROWS, "s1: s2:", "g = Greater(x, s1) y = Where(g, x, s2)"),
    "clipping activation": (IMAGE, "s:", "h = Sub(x, s) r = Relu(h) q = Relu(x) y = Sub(q, r)"),
    "slope": (IMAGE, "a:1", "y = PRelu(x, a)"),
    "slopes": (IMAGE, "w:8,8,1,1 a:8,1,1", "h = Conv(x, w) y = PRelu(h, a)"),
    "swish": (ROWS, "s:", "b = Mul(x, s) i = Sigmoid(b) y = Mul(x, i)"),
    "exponent": (ROWS, "ps:", "h = Abs(x) y = Pow(h, ps)"),
    "chain": (ROWS, "s1: s2: s3:", "h = Mul(x, s1) i = Add(h, s2) j = Mul(i, s3) y = Tanh(j)"),
    "padding": (IMAGE, "s:", "p = Constant<value_ints=[0,0,1,1,0,0,1,1]>() y = Pad(x, p, s)"),
    "convolution": (
        IMAGE,
        "w:16,8,3,3 b:16 s:",
        "h = Conv<pads=[1,1,1,1]>(x, w, b) i = Mul(h, s) y = Relu(i)",
    ),
    "batch norm": (
        IMAGE,
        "w:16,8,3,3 a:16 b:16 m:16 p:16",
        "h = Conv(x, w) i = BatchNormalization(h, a, b, m, p) y = Relu(i)",
    ),
    "batch norm first": (IMAGE, "a:8 b:8 m:8 p:8", "h = BatchNormalization(x, a, b, m, p) y = Relu(h)"),
    "layer norm": (ROWS, "a:32 b:32", "y = LayerNormalization(x, a, b)"),
    "instance norm": (IMAGE, "a:8 b:8", "y = InstanceNormalization(x, a, b)"),
    "weight norm": (
        ROWS,
        "w:32,16 a:1,16",
        "n = ReduceL2<axes=[0]>(w) u = Div(w, n) k = Mul(u, a) y = MatMul(x, k)",
    ),
    "dense": (ROWS, "w:16,32 b:16", "h = Gemm<transB=1>(x, w, b) y = Relu(h)"),
    "two branches": (ROWS, "w:32,8 v:32,8 b:8 c:8", "h = Gemm(x, w, b) i = Gemm(x, v, c) y = Add(h, i)"),
    "token": (ROWS, "t:1,32 a:5,32", "h = Concat<axis=0>(t, x) y = Add(h, a)"),
    "transposed convolution": (IMAGE, "w:8,4,3,3 b:4", "y = ConvTranspose<strides=[2,2]>(x, w, b)"),
    "quantization": (
        ROWS,
        "ps: z:",
        "q = QuantizeLinear(x, ps, z) y = DequantizeLinear(q, ps, z)",
    ),
    "another scale": (
        ROWS,
        "ps: z: pt: zt:",
        "q = QuantizeLinear(x, ps, z) y = DequantizeLinear(q, pt, zt)",
    ),
    "quantized product": (
        QUANTIZED,
        "ps: z: qw:32,16 pt: zq: po: zo:",
        "q = QLinearMatMul(x, ps, z, qw, pt, zq, po, zo) y = DequantizeLinear(q, po, zo)",
    ),
    "integer product": (QUANTIZED, "qw:32,16 z: zq:", "q = MatMulInteger(x, qw, z, zq) y = Cast<to=1>(q)"),
    "per-channel weights": (
        ROWS,
        "qw:32,16 pt:16",
        "d = DequantizeLinear<axis=1>(qw, pt) y = MatMul(x, d)",
    ),
}
TARGET = Target.parse("llvm -num-cores=2")
DEVICE = DeviceFingerprint("here", {"threads": 2})
Array = npt.NDArray[np.generic]


def drawn(name: str, shape: tuple[int, ...], draw: str) -> Array:
    """A weight. draw: a seed, or the value of all elements of what is no scalar."""
    rng = np.random.default_rng([int(draw) if draw.isdigit() else 7, *name.encode()])
    if name[0] in "zq":
        kind = np.int8 if "q" in name else np.uint8
        return rng.integers(2, 100, shape).astype(kind)
    values = rng.uniform(0.1, 2, shape) if name[0] == "p" else rng.standard_normal(shape)
    if not draw.isdigit() and shape and name[0] != "p":
        values = np.full(shape, float(draw.removesuffix("everywhere")))
    return values.astype(np.float32)


def network(name: str, draw: str, folder: Path, as_nodes: bool = False) -> Path:
    """The file of a network. as_nodes: weights are Constant nodes rather than initializers."""
    given, weights, nodes = NETWORKS[name]
    graph = onnx.parser.parse_graph(f"g ({given} x) => (float y) {{ {nodes} }}")
    graph.output[0].type.tensor_type.ClearField("shape")
    tensors = []
    for text in weights.split():
        weight, _, sizes = text.partition(":")
        shape = tuple(int(size) for size in sizes.split(",") if size)
        tensors.append(numpy_helper.from_array(np.asarray(drawn(weight, shape, draw)), weight))
    if as_nodes:
        constants = [helper.make_node("Constant", [], [each.name], value=each) for each in tensors]
        constants += list(graph.node)
        del graph.node[:]
        graph.node.extend(constants)
    else:
        graph.initializer.extend(tensors)
    path = folder / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def tasks(path: Path) -> tuple[TuningTask, ...]:
    return extract_tasks(load_model(path), TARGET)


def keys(path: Path) -> list[tuple[str, int]]:
    return [(task.key, task.weight) for task in tasks(path)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_same_keys_after_it_was_trained_again(name: str, tmp_path: Path) -> None:
    before = keys(network(name, "1", tmp_path))
    for draw in ("2", "0everywhere", "1everywhere", "0.37everywhere"):
        assert keys(network(name, draw, tmp_path)) == before, draw
    assert keys(network(name, "3", tmp_path, as_nodes=True)) == before


def log_of(task: TuningTask, key: str) -> TuningLog:
    """A log of one config of a task, under a key."""
    space, rng = TensorIRSpace(task), np.random.default_rng(0)
    named = replace(task, workload=replace(task.workload, key=key))
    while True:
        try:
            config = space.apply(lambda decision: int(rng.integers(len(decision.choices)))).config
        except IllegalSchedule:
            continue
        if config not in (space.default, UNTOUCHED):
            break
    job = Provenance(Job("job", 0, "random", "2026-01-01T00:00:00Z"), 0, "2026-01-01T00:00:00Z")
    log = TuningLog.in_memory()
    log.append([TuningRecord(named, DEVICE, space.version, config, Timing((1e-6,), 0.1), None, job)])
    return log


def test_structure_is_in_the_keys(tmp_path: Path) -> None:
    found = {}
    for pads, strides in (("1,1,1,1", "1,1"), ("0,0,0,0", "1,1"), ("1,1,1,1", "2,2"), ("2,2,0,0", "1,1")):
        NETWORKS["other"] = (IMAGE, "w:8,8,3,3", f"y = Conv<pads=[{pads}], strides=[{strides}]>(x, w)")
        found[pads, strides] = tuple(keys(network("other", "1", tmp_path)))
    del NETWORKS["other"]
    assert len(set(found.values())) == len(found)


def test_layers_that_differ_in_a_scalar_are_one_task_and_compute_their_own(tmp_path: Path) -> None:
    NETWORKS["layers"] = (
        ROWS,
        "w:32,32 v:32,32 s: st:",
        "a = MatMul(x, w) b = Mul(a, s) c = MatMul(b, v) y = Mul(c, st)",
    )
    path = network("layers", "1", tmp_path)
    del NETWORKS["layers"]
    assert [calls for _, calls in keys(path)] == [2]
    x = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    [task] = tasks(path)
    build = compile(load_model(path), TARGET, log_of(task, task.key), DEVICE)
    assert {row.status for row in build.coverage.rows} == {Status.TUNED}
    first, second = (drawn(name, (32, 32), "1") for name in "wv")
    wanted = (x @ first * drawn("s", (), "1")) @ second * drawn("st", (), "1")
    np.testing.assert_allclose(build(x), wanted, rtol=1e-4, atol=1e-4)


def test_a_record_under_a_key_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """Keys had the values of scalars in them, so that every training run had its own."""
    [task] = tasks(network("gate", "1", tmp_path))
    log = log_of(task, "0" * 32)
    [retrained] = tasks(network("gate", "2", tmp_path))
    choice = ScheduleChooser(log, DEVICE).choose(retrained)
    assert choice.origin is Origin.OWN
    assert choice.record in log.iterate()
    [other] = tasks(network("scalar factor", "1", tmp_path))
    assert ScheduleChooser(log, DEVICE).choose(other).record is None


#: Networks with a scalar, and values of it for which TVM folds what is computed with it.
FOLDED = [
    *((name, 1.0) for name in ("scalar factor", "scalar divisor", "gate", "swish", "chain")),
    *((name, 0.0) for name in ("scalar summand", "padding", "learned threshold")),
]


@pytest.mark.parametrize(("name", "value"), FOLDED)
def test_a_scalar_that_was_0_or_1_before_training_costs_no_record(
    name: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = max(tasks(network(name, "1", tmp_path)), key=lambda task: len(task.workload.module))
    monkeypatch.setattr(f"{__name__}.drawn", with_scalars(value))
    fresh = max(tasks(network(name, "1", tmp_path)), key=lambda task: len(task.workload.module))
    for logged, built in ((trained, fresh), (fresh, trained)):
        log = log_of(logged, logged.key)
        choice = ScheduleChooser(log, DEVICE).choose(built)
        assert choice.origin is Origin.OWN
        assert choice.record in log.iterate()


def with_scalars(value: float) -> Callable[[str, tuple[int, ...], str], Array]:
    """`drawn`, with this value for all scalars."""
    as_drawn = drawn

    def found(name: str, shape: tuple[int, ...], draw: str) -> Array:
        array = as_drawn(name, shape, draw)
        return array if shape else np.full_like(array, value)

    return found
