"""Models of strangers through the commands that build them: kinds "truth", "text" and "files"."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper, numpy_helper

from edge_inputs.attempt import Attempt
from edge_inputs.forked import autotune_forked
from edge_inputs.text import spoilt

_TRUTH, _TEXT, _FILES = "truth", "text", "files"
_DEVICE = ("--device", "local?threads=1")
#: Graphs in ONNX's text format whose numbers leave the usual ranges; each is built right, or refused.
_GRAPHS = {
    "logarithms of negative numbers": "float[4,8] x) => (float[4,8] y) { y = Log(x)",
    "roots of negative numbers": "float[4,8] x) => (float[4,8] y) { y = Sqrt(x)",
    "exponentials that overflow": "float[4,8] x) => (float[4,8] y) { a = Mul(x, x) b = Exp(a) c = Exp(b) y = Exp(c)",
    "divisions by zero": "float[4,8] x) => (float[4,8] y) { z = Sub(x, x) y = Div(x, z)",
    "a softmax of infinities": "float[4,8] x) => (float[4,8] y) { z = Sub(x, x) i = Div(x, z) y = Softmax(i)",
    "negative integers divided": "float[4,8] x) => (int32[4,8] y) { t = Constant<value=int32{-3}>() "
    "s = Constant<value=float{50}>() a = Mul(x, s) i = Cast<to=6>(a) y = Div(i, t)",
    "remainders of negative integers": "float[4,8] x) => (int32[4,8] y) { t = Constant<value=int32{-3}>() "
    "s = Constant<value=float{50}>() a = Mul(x, s) i = Cast<to=6>(a) y = Mod(i, t)",
    "remainders of negative floats": "float[4,8] x) => (float[4,8] y) { t = Constant<value=float{-0.3}>() "
    "y = Mod<fmod=1>(x, t)",
    "integers that overflow": "float[4,8] x) => (int32[4,8] y) { s = Constant<value=float{70000}>() "
    "a = Mul(x, s) i = Cast<to=6>(a) y = Mul(i, i)",
    "halves rounded": "float[4,8] x) => (float[4,8] y) { t = Constant<value=float{2}>() "
    "a = Mul(x, t) b = Round(a) c = Div(b, t) y = Round(c)",
    "the largest of equal numbers": "float[4,8] x) => (int64[4,1] y) { z = Sub(x, x) y = ArgMax<axis=1>(z)",
    "the last of equal numbers": "float[4,8] x) => (int64[4,1] y) "
    "{ z = Sub(x, x) y = ArgMax<axis=1, select_last_index=1>(z)",
    "a clip whose ends cross": "float[4,8] x) => (float[4,8] y) { a = Constant<value=float{2}>() "
    "b = Constant<value=float{1}>() y = Clip(x, a, b)",
    "signs of zero": "float[4,8] x) => (float[4,8] y) { z = Sub(x, x) n = Neg(z) y = Reciprocal(n)",
    "a sum of nothing": "float[0,8] x) => (float[8] y) { a = Constant<value=int64[1]{0}>() "
    "y = ReduceSum<keepdims=0>(x, a)",
    "a tensor without elements": "float[0,8] x) => (float[0,8] y) { y = Relu(x)",
    "an output that is the input": "float[4,8] x) => (float[4,8] y) { y = Identity(x)",
    "one value as two outputs": "float[4,8] x) => (float[4,8] y, float[4,8] z) { y = Relu(x) z = Identity(y)",
    "an output that is constant": "float[4,8] x) => (float[4,8] y, float[2] z) "
    "{ y = Relu(x) z = Constant<value=float[2]{1, 2}>()",
    "integers that floats cannot hold": "float[4,8] x) => (int64[4,8] y) "
    "{ t = Constant<value=int64{9007199254740993}>() i = Cast<to=7>(x) y = Add(i, t)",
}
_HOSTILE = (
    "[/red]", "a\x1b[2Jb", "\x1b]0;x\x07", "$\\frac{x", "<script>x()</script>", "%s%n{0}", "a\nb\rc",
    "\u202eevil\u2066", "日本 \U0001f600", "x" * 3000, " ", "../../x", "-o", "'\"`$(x)", "\ufeffx\u200b",
)  # fmt: skip
#: Commands that build or measure a model and print its names.
_NAMING = {
    "check": ("check", "model.onnx"),
    "estimate": ("estimate", "model.onnx"),
    "build": ("build", "model.onnx", "-o", "model.so", "--log", "log.jsonl", *_DEVICE),
    "package": ("package", "model.onnx", "-o", "out", "--as", "wheel", "--as", "archive", *_DEVICE),
    "bench": ("bench", "model.onnx", "--log", "log.jsonl", "--against", "onnxruntime", *_DEVICE),
}


def inputs() -> Iterator[Attempt]:
    """All inputs of models."""
    for label, text in _GRAPHS.items():
        yield Attempt(_TRUTH, label, functools.partial(_checked, text))
    for number, name in enumerate(_HOSTILE):
        command = list(_NAMING)[number % len(_NAMING)]
        label = f"{command} of names {ascii(name)[:40]}"
        yield Attempt(_TEXT, label, functools.partial(_named, name, _NAMING[command]))
    yield Attempt(_TEXT, "a log of a model of hostile names", _logged)
    for label, content in _forged().items():
        yield Attempt(_FILES, f"ONNX model, {label}", functools.partial(_refused, content))


def _parsed(text: str) -> onnx.ModelProto:
    graph = onnx.parser.parse_graph(f"g ({text} }}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _checked(text: str, folder: Path) -> str | None:
    onnx.save(_parsed(text), folder / "model.onnx")
    return spoilt(autotune_forked(["check", "model.onnx"], folder), 0, 2)


# --- names --------------------------------------------------------------------------------------------------------


def _with_names(name: str) -> onnx.ModelProto:
    """A model in which everything that has a name has this one, or one that begins with it."""
    weight = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    x, w, h, y = (name + one for one in "xwhy")
    nodes = [
        helper.make_node("MatMul", [x, w], [h], name=name, doc_string=name),
        helper.make_node("Relu", [h], [y], name=name),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, (2, 8), doc_string=name)],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, (2, 4))],
        [numpy_helper.from_array(weight, w)],
        doc_string=name,
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name=name, domain=name)
    helper.set_model_props(model, {name: name})
    return model


def _named(name: str, command: tuple[str, ...], folder: Path) -> str | None:
    onnx.save(_with_names(name), folder / "model.onnx")
    (folder / "log.jsonl").touch()
    # No cost model ships for some machines, which `estimate` says.
    codes = (0, 2) if command[0] == "estimate" else (0,)
    return spoilt(autotune_forked(command, folder), *codes)


def _logged(folder: Path) -> str | None:
    """A search over a model of hostile names, tables of its log, and a build with it."""
    onnx.save(_with_names("[/red]\x1b[2J\u202e$x$"), folder / "model.onnx")
    tune = ["tune", "model.onnx", "--trials", "4", "--log", "log.jsonl", *_DEVICE]
    for command in (tune, ["log", "show", "log.jsonl"], ["log", "best", "log.jsonl"], [*_NAMING["build"]]):
        if fault := spoilt(autotune_forked(command, folder), 0):
            return f"{command}: {fault}"
    return None


# --- forged files -------------------------------------------------------------------------------------------------


def _forged() -> Mapping[str, bytes]:
    whole = _with_names("w").SerializeToString()
    outside = _with_names("w")
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL

    def beside(location: str, **more: str) -> bytes:
        del tensor.external_data[:]
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)
        return outside.SerializeToString()

    def shaped(*dims: int) -> bytes:
        model = _with_names("w")
        model.graph.initializer[0].dims[:] = dims
        return model.SerializeToString()

    circle = _with_names("w")
    circle.graph.node[0].input[0] = circle.graph.output[0].name
    twice = _with_names("w")
    twice.graph.node[1].output[0] = twice.graph.node[0].output[0]
    nested = _with_names("w")
    inner = nested.graph
    for _ in range(60):
        branch = inner.node.add(op_type="If", input=["c"], output=["o"])
        attribute = branch.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH)
        inner = attribute.g
    return {
        "cut": whole[: len(whole) // 2],
        "weights elsewhere on the disk": beside("/etc/passwd"),
        "weights above the folder": beside("../../../../etc/passwd"),
        "weights that are not there": beside("weights.bin"),
        "weights in a device": beside("/dev/zero", length=str(1 << 40)),
        "weights at an odd place": beside("model.onnx", offset="-1", length="99999999999999999999"),
        "weights in a name of NUL": beside("a\0b"),
        "weights of another size": shaped(800, 400),
        "weights of negative size": shaped(-8, 4),
        "weights of all memory": shaped(1 << 31, 1 << 31),
        "a circle": circle.SerializeToString(),
        "one name twice": twice.SerializeToString(),
        "nested branches": nested.SerializeToString(),
    }


def _refused(content: bytes, folder: Path) -> str | None:
    (folder / "model.onnx").write_bytes(content)
    return spoilt(autotune_forked(["check", "model.onnx"], folder, 60), 2)
