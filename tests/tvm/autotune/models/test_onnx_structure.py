"""ONNX graphs of unusual structure, from the file to the outputs of a build, beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.models import lowering
from autotune.models.isolation import failing_node
from autotune.models.model import load_model
from search_spaces.errors import Misuse
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

Array = npt.NDArray[Any]

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, Array],
    outputs: Sequence[tuple[str, int]],
    weights: Mapping[str, Array] | None = None,
    **options: Any,
) -> onnx.ModelProto:
    """A model with inputs like the feeds; outputs are names and element types, without shapes."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = options.pop("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **options)


def computes_the_same(
    model: onnx.ModelProto, feeds: Mapping[str, Array], folder: Path, target: Target
) -> None:
    """Holds the outputs of an untuned build against ONNX Runtime's: dtypes, shapes and values."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    theirs = session.run(None, dict(feeds))
    loaded = load_model(path)
    assert [spec.name for spec in loaded.inputs] == [value.name for value in session.get_inputs()]

    ours = compile(loaded, target, TuningLog.in_memory())(*(feeds[spec.name] for spec in loaded.inputs))

    ours = ours if isinstance(ours, tuple) else (ours,)
    assert len(ours) == len(theirs)
    for mine, right in zip(ours, theirs, strict=True):
        right = np.asarray(right)
        assert (mine.dtype, mine.shape) == (right.dtype, right.shape)
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-6)


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, **attributes)


def body(
    nodes: Sequence[onnx.NodeProto], inputs: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]]
) -> onnx.GraphProto:
    """A branch, or the body of a loop; integers and booleans are scalars."""
    values = [
        [helper.make_tensor_value_info(name, dtype, None if dtype == FLOAT else ()) for name, dtype in side]
        for side in (inputs, outputs)
    ]
    return helper.make_graph(nodes, "body", *values)


def negated_or_doubled() -> dict[str, onnx.GraphProto]:
    return {
        "then_branch": body([node("Neg", ["x"], ["t"])], [], [("t", FLOAT)]),
        "else_branch": body([node("Add", ["x", "x"], ["e"])], [], [("e", FLOAT)]),
    }


CASES: dict[str, tuple[onnx.ModelProto, dict[str, Array]]] = {}


def case(name: str, model: onnx.ModelProto, **feeds: Array) -> None:
    CASES[name] = (model, feeds)


def add_cases() -> None:
    scalar = {"x": X, "gain": np.array(2.5, np.float32), "shift": np.array(3, np.int64)}
    nodes = [
        node("Mul", ["x", "gain"], ["scaled"]),
        node("Cast", ["shift"], ["real"], to=FLOAT),
        node("Add", ["scaled", "real"], ["y"]),
    ]
    case("scalar inputs", model_of(nodes, scalar, [("y", FLOAT)]), **scalar)
    unused = {"first": np.zeros(3, np.float32), "x": X, "last": np.zeros((), np.int64)}
    case("unused inputs", model_of([node("Relu", ["x"], ["y"])], unused, [("y", FLOAT)]), **unused)
    case(
        "an output that is an input",
        model_of([node("Identity", ["x"], ["y"])], {"x": X}, [("y", FLOAT)]),
        x=X,
    )
    case(
        "an input and its copy as outputs",
        model_of(
            [node("Identity", ["x"], ["y"]), node("Relu", ["x"], ["z"])],
            {"x": X},
            [("y", FLOAT), ("z", FLOAT)],
        ),
        x=X,
    )
    nodes = [node("Shape", ["x"], ["shape"]), node("Size", ["x"], ["size"]), node("Relu", ["x"], ["y"])]
    outputs = [("shape", INT64), ("y", FLOAT), ("size", INT64)]
    case("shapes as outputs", model_of(nodes, {"x": X}, outputs), x=X)
    case("a shape as the only output", model_of(nodes[:1], {"x": X}, outputs[:1]), x=X)
    nodes = [node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"]), node("Relu", ["x"], ["again"])]
    case(
        "one result under three names",
        model_of(nodes, {"x": X}, [("y", FLOAT), ("z", FLOAT), ("again", FLOAT)]),
        x=X,
    )
    weights = {"w": X}
    case(
        "a weight as an output",
        model_of([node("Add", ["x", "w"], ["y"])], {"x": X}, [("y", FLOAT), ("w", FLOAT)], weights),
        x=X,
    )
    odd = {"--shape": X, "α β": X, "x/y.z:0": X, "1": X}
    nodes = [node("Sum", list(odd), ["out put"])]
    case("odd names", model_of(nodes, odd, [("out put", FLOAT)]), **odd)
    nodes = [node("Clip", ["x", "", "top"], ["y"])]
    case("a missing optional input", model_of(nodes, {"x": X}, [("y", FLOAT)], {"top": np.float32(1)}), x=X)
    nodes = [node("Relu", ["h"], ["y"]), node("Neg", ["x"], ["h"])]
    case("unsorted nodes", model_of(nodes, {"x": X}, [("y", FLOAT)]), x=X)
    for attributes in (
        {"value_float": 2.5}, {"value_floats": [1.0, 2.0, 3.0]},
        {"value": numpy_helper.from_array(np.float32(0.1))},
    ):  # fmt: skip
        nodes = [node("Constant", [], ["c"], **attributes), node("Mul", ["x", "c"], ["y"])]
        case(f"Constant with {next(iter(attributes))}", model_of(nodes, {"x": X}, [("y", FLOAT)]), x=X)
    for attributes in ({"value_int": 6}, {"value_ints": [3, 2]}):
        nodes = [node("Constant", [], ["c"], **attributes)]
        nodes += [node("Reshape", ["c", "one"], ["s"])] if "value_int" in attributes else []
        nodes += [node("Reshape", ["x", "s" if "value_int" in attributes else "c"], ["y"])]
        weights = {"one": np.array([1])}
        case(
            f"Constant with {next(iter(attributes))}", model_of(nodes, {"x": X}, [("y", FLOAT)], weights), x=X
        )
    add_functions()
    add_control_flow()
    add_sequences()
    x, z = np.array([True, False, True]), np.array([True, True, False])
    nodes = [node("Equal", ["x", "z"], ["e"]), node("Not", ["e"], ["y"])]
    case("Equal of booleans", model_of(nodes, {"x": x, "z": z}, [("e", BOOL), ("y", BOOL)]), x=x, z=z)
    sparse = model_of([node("Add", ["x", "s"], ["y"])], {"x": X}, [("y", FLOAT)])
    values = helper.make_tensor("s", FLOAT, [2], [5.0, 7.0])
    indices = helper.make_tensor("s_indices", INT64, [2, 2], [0, 1, 1, 2])
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2, 3]))
    case("a sparse initializer", sparse, x=X)


def add_functions() -> None:
    inner = helper.make_function(
        "pkg", "Scaled", ["a"], ["b"],
        [helper.make_node("Constant", [], ["k"]), node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 17)], attributes=["factor"],
    )  # fmt: skip
    reference = inner.node[0].attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "factor"
    outer = helper.make_function(
        "pkg", "Gate", ["a", "unused"], ["b", "same"],
        [
            node("Scaled", ["a"], ["half"], domain="pkg", factor=0.5),
            node("Sigmoid", ["half"], ["t"]),
            node("Mul", ["a", "t"], ["b"]),
            node("Identity", ["a"], ["same"]),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("pkg", 1)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Gate", ["x"], ["h", ""], domain="pkg", name="gate"),
        helper.make_node("Gate", ["h", ""], ["y", "z"], domain="pkg", name="gate2"),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("pkg", 1)]
    model = model_of(
        nodes, {"x": X}, [("y", FLOAT), ("z", FLOAT)], functions=[inner, outer], opset_imports=opsets
    )
    case("functions that call functions", model, x=X)
    opset18 = [helper.make_opsetid("", 18)]
    nodes = [node("Celu", ["x"], ["h"], alpha=0.7), node("CenterCropPad", ["h", "size"], ["y"])]
    weights = {"size": np.array([3, 2])}
    case(
        "operators that are functions",
        model_of(nodes, {"x": X}, [("y", FLOAT)], weights, opset_imports=opset18),
        x=X,
    )


def add_control_flow() -> None:
    for truth in (True, False):
        nodes = [node("If", ["c"], ["y"], **negated_or_doubled())]
        weights = {"c": np.array(truth)}
        case(f"If with the constant {truth}", model_of(nodes, {"x": X}, [("y", FLOAT)], weights), x=X)
        feeds = {"x": X, "c": np.array(truth)}
        case(f"If with the input {truth}", model_of(nodes, feeds, [("y", FLOAT)]), **feeds)
    step = body(
        [
            node("Add", ["state", "x"], ["next"]),
            node("Cast", ["i"], ["number"], to=FLOAT),
            node("Mul", ["next", "number"], ["row"]),
            node("Less", ["i", "last"], ["more"]),
        ],
        [("i", INT64), ("condition", BOOL), ("state", FLOAT)],
        [("more", BOOL), ("next", FLOAT), ("row", FLOAT)],
    )
    nodes = [node("Loop", ["count", "go", "start"], ["y", "rows"], body=step)]
    outputs = [("y", FLOAT), ("rows", FLOAT)]
    for name, last in (("ends by its count", 99), ("ends by its condition", 2)):
        weights = {"count": np.array(5), "go": np.array(True), "start": X, "last": np.array(last)}
        case(f"Loop that {name}", model_of(nodes, {"x": X}, outputs, weights), x=X)
    branch = body([node("If", ["odd"], ["row"], **negated_or_doubled())], [], [("row", FLOAT)])
    step = body(
        [
            node("Mod", ["i", "two"], ["rest"]),
            node("Cast", ["rest"], ["odd"], to=BOOL),
            *branch.node,
            node("Identity", ["condition"], ["more"]),
        ],
        [("i", INT64), ("condition", BOOL)],
        [("more", BOOL), ("row", FLOAT)],
    )
    weights = {"count": np.array(3), "two": np.array(2)}
    nodes = [node("Loop", ["count", ""], ["y"], body=step)]
    case("If within Loop", model_of(nodes, {"x": X}, [("y", FLOAT)], weights), x=X)
    step = body(
        [node("Add", ["state", "row"], ["next"]), node("Identity", ["next"], ["out"])],
        [("state", FLOAT), ("row", FLOAT)],
        [("next", FLOAT), ("out", FLOAT)],
    )
    attributes = {"body": step, "num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}
    for name, directions in (("forward", {}), ("backward", {"scan_input_directions": [1]})):
        nodes = [node("Scan", ["start", "x"], ["y", "z"], **attributes, **directions)]
        weights = {"start": np.zeros(2, np.float32)}
        case(f"Scan {name}", model_of(nodes, {"x": X}, [("y", FLOAT), ("z", FLOAT)], weights), x=X)


def add_sequences() -> None:
    nodes = [
        node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=0),
        node("SequenceAt", ["parts", "one"], ["second"]),
        node("SequenceErase", ["parts", "one"], ["fewer"]),
        node("SequenceInsert", ["fewer", "second"], ["moved"]),
        node("ConcatFromSequence", ["moved"], ["y"], axis=1, new_axis=1),
        node("SequenceLength", ["moved"], ["length"]),
    ]
    outputs = [("y", FLOAT), ("length", INT64)]
    case("sequences", model_of(nodes, {"x": X}, outputs, {"one": np.array(1)}), x=X)
    nodes = [
        node("SplitToSequence", ["x", "size"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "last"], ["y"]),
    ]
    weights = {"size": np.array(2), "last": np.array(-1)}
    case("equal splits", model_of(nodes, {"x": X}, [("y", FLOAT)], weights), x=X)


add_cases()


@pytest.mark.parametrize("name", CASES)
def test_a_build_computes_what_onnx_runtime_does(name: str, tmp_path: Path, target: Target) -> None:
    model, feeds = CASES[name]
    computes_the_same(model, feeds, tmp_path, target)


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        (
            [node("RandomNormalLike", ["x"], ["n"], name="noise"), node("Add", ["x", "n"], ["y"])],
            r"RandomNormalLike 'noise' \(output 'n': float32 2,3\): its results are random.* Export the model in eval",
        ),
        ([node("Dropout", ["x", "", "train"], ["y"], name="drop")], "Dropout 'drop' .* drops at random"),
        (
            [
                node("NonZero", ["x"], ["z"]),
                node("Shape", ["z"], ["s"]),
                node("ConstantOfShape", ["s"], ["y"], name="c"),
            ],
            r"NonZero 'z' .*depends on values",
        ),
        (
            [node("Slice", ["x", "zero", "zero"], ["y"], name="none")],
            r"Slice 'none' \(output 'y': float32 0,3\): its result 'y' of shape \(0, 3\) has no elements",
        ),
        (
            [node("Expand", ["x", "huge"], ["y"], name="grow")],
            r"Expand 'grow' .* has more than 2147483647 elements",
        ),
        (
            [node("MatMul", ["x", "x"], ["y"], name="product")],
            r"MatMul 'product' \(output 'y'.*Incompatible dimensions for matrix",
        ),
    ],
)
def test_what_cannot_be_compiled_is_told_by_its_node(
    nodes: list[onnx.NodeProto], complaint: str, tmp_path: Path
) -> None:
    weights = {"train": np.array(True), "zero": np.array([0]), "huge": np.array([2**30, 2, 3])}
    onnx.save(model_of(nodes, {"x": X}, [("y", FLOAT)], weights), tmp_path / "odd.onnx")

    with pytest.raises(Misuse, match=complaint) as refusal:
        load_model(tmp_path / "odd.onnx")

    assert "\n" not in str(refusal.value)


def test_random_numbers_that_nothing_reads_do_no_harm(tmp_path: Path) -> None:
    nodes = [node("RandomNormalLike", ["x"], ["n"]), node("Relu", ["x"], ["y"])]
    onnx.save(model_of(nodes, {"x": X}, [("y", FLOAT)]), tmp_path / "model.onnx")

    assert load_model(tmp_path / "model.onnx").inputs[0].name == "x"


def test_a_node_that_an_operator_was_expanded_to_leads_back_to_it(tmp_path: Path) -> None:
    nodes = [node("Celu", ["x"], ["y"], name="layer1/celu", alpha=0.7)]
    onnx.save(model_of(nodes, {"x": X}, [("y", FLOAT)]), tmp_path / "model.onnx")

    origins = load_model(tmp_path / "model.onnx").origins

    assert str(origins.of("layer1/celu/EluResult")) == "Celu 'layer1/celu' (output 'y': float32 2,3)"
    assert origins.of("layer2") is None


def test_a_failing_node_is_found_on_its_own(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"], name="first"),
        node("Softmax", ["a"], ["b"], name="second"),
        node("Relu", ["b"], ["y"], name="third"),
    ]
    onnx.save(model_of(nodes, {"x": X}, [("y", FLOAT)]), tmp_path / "model.onnx")
    tried = []

    def attempt(module: tvm.IRModule) -> None:
        tried.append(module)
        if "R.nn.softmax" in module.script():
            raise ValueError("no softmax here")

    origin, error = failing_node(load_model(tmp_path / "model.onnx"), attempt)

    assert (origin.name, str(error)) == ("second", "no softmax here")
    assert failing_node(load_model(tmp_path / "model.onnx"), lambda _: tried.append(None)) is None
    assert len(tried) == 4, "equal nodes are tried once"


def test_a_model_that_cannot_be_lowered_is_refused_by_its_node(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: tvm.IRModule) -> tvm.IRModule:
        if "R.nn.softmax" in module.script():
            raise ValueError("Traceback\nno softmax here")
        return module

    nodes = [node("Relu", ["x"], ["a"], name="first"), node("Softmax", ["a"], ["y"], name="second")]
    onnx.save(model_of(nodes, {"x": X}, [("y", FLOAT)]), tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    monkeypatch.setattr(lowering.relax.transform, "DecomposeOpsForInference", lambda: refuse)

    with pytest.raises(
        Misuse, match=r"Softmax 'second' \(output 'y': float32 2,3\): TVM .* no softmax here\. "
    ):
        lowering.lower(model, target)
