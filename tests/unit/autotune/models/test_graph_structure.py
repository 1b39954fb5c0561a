"""Rewrites of ONNX graphs, held against ONNX Runtime on the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.models.onnx_passes.absorbed_paddings import with_absorbed_paddings
from autotune.models.onnx_passes.absorbed_scales import with_absorbed_scales
from autotune.models.onnx_passes.affine_batch_norms import with_affine_batch_norms
from autotune.models.onnx_passes.constant_folding import with_folded_constants
from autotune.models.onnx_passes.constants import with_dense_initializers
from autotune.models.onnx_passes.control_flow import with_unrolled_control_flow
from autotune.models.onnx_passes.dropouts import with_identity_dropouts
from autotune.models.onnx_passes.gathered_rows import with_split_rows
from autotune.models.onnx_passes.grouped_parts import with_grouped_parts
from autotune.models.onnx_passes.node_order import with_sorted_nodes
from autotune.models.onnx_passes.opsets import with_current_opset
from autotune.models.onnx_passes.redundant_nodes import (
    with_live_nodes,
    with_shared_nodes,
    without_copies,
    without_empty_operands,
)
from autotune.models.onnx_passes.tensor_types import inferred_types
from search_spaces.errors import Misuse

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)


def floats(*shape: int) -> Array:
    return np.asarray(RNG.standard_normal(shape), np.float32)


def node(operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> onnx.NodeProto:
    made = outputs or ("y",)
    return helper.make_node(operator, inputs, made, name=f"{operator} of {made[0]}", **attributes)


def model_of(
    nodes: Sequence[onnx.NodeProto], weights: dict[str, Array], x: Array, opset: int = 17, outputs: str = "y"
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def outputs_of(model: onnx.ModelProto, x: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(value) for value in session.run(None, {"x": x})]


def assert_same(rewritten: onnx.ModelProto, model: onnx.ModelProto, x: Array) -> None:
    """Holds names, dtypes, shapes and values of all outputs against the original's; the original is unchanged."""
    assert [value.name for value in rewritten.graph.input] == [value.name for value in model.graph.input]
    assert [value.name for value in rewritten.graph.output] == [value.name for value in model.graph.output]
    for found, expected in zip(outputs_of(rewritten, x), outputs_of(model, x), strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def operators(model: onnx.ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


BATCH_NORM = {name: floats(6) for name in ("gamma", "beta", "mean")} | {"variance": np.abs(floats(6)) + 0.5}


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("has_bias", [True, False])
def test_scales_behind_convolutions_are_folded_into_them(operator: str, groups: int, has_bias: bool) -> None:
    kernel = floats(6, 4 // groups, 3, 3) if operator == "Conv" else floats(4, 6 // groups, 3, 3)
    weights = {
        "w": kernel,
        "b": floats(6),
        "s": floats(6, 1, 1),
        "t": floats(1, 6, 1, 1),
        "k": floats(1),
        **BATCH_NORM,
    }
    nodes = [
        node(operator, ["x", "w", *(["b"] if has_bias else [])], "c", group=groups),
        node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], "n", epsilon=0.01),
        node("Mul", ["s", "n"], "m"),
        node("Sub", ["m", "t"], "d"),
        node("Div", ["d", "k"], "e"),
        node("Relu", ["e"]),
    ]
    x = floats(2, 4, 7, 5)
    model = model_of(nodes, weights, x)

    rewritten = with_absorbed_scales(model)

    assert operators(rewritten) == [operator, "Relu"]
    assert_same(rewritten, model, x)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Conv", ["x", "w"], "c"), node("Mul", ["c", "c"])],
        [node("Conv", ["x", "w"], "c"), node("Mul", ["c", "per_column"])],
        [node("Conv", ["x", "w"], "c"), node("Div", ["t", "c"])],
        [node("Conv", ["x", "w"], "c"), node("Mul", ["c", "s"], "m"), node("Add", ["c", "m"])],
        [node("Conv", ["x", "w"], "c"), node("Mul", ["c", "huge"], "m"), node("Relu", ["m"])],
        [node("Conv", ["x", "w"], "c"), node("Add", ["c", "more_dimensions"])],
    ],
    ids=["squared", "along the width", "divided by", "read twice", "overflowing", "of a higher rank"],
)
def test_what_is_no_scale_of_channels_stays(nodes: list[onnx.NodeProto]) -> None:
    weights = {
        "w": floats(6, 4, 3, 3) + 1, "s": floats(6, 1, 1), "t": floats(1), "per_column": floats(3),
        "huge": np.full(1, 3e38, np.float32), "more_dimensions": floats(1, 1, 6, 1, 1),
    }  # fmt: skip
    x = floats(2, 4, 7, 5)
    model = model_of(nodes, weights, x)

    assert operators(with_absorbed_scales(model)) == operators(model)


@pytest.mark.parametrize("own", [None, [0, 1, 2, 0]])
def test_paddings_by_zeros_are_folded_into_convolutions(own: list[int] | None) -> None:
    weights = {"w": floats(6, 4, 3, 3), "pads": np.array([0, 0, 1, 2, 0, 0, 3, 0])}
    nodes = [node("Pad", ["x", "pads"], "p"), node("Conv", ["p", "w"], **({"pads": own} if own else {}))]
    x = floats(2, 4, 7, 5)
    model = model_of(nodes, weights, x)

    rewritten = with_absorbed_paddings(model)

    assert operators(rewritten) == ["Conv"]
    assert_same(rewritten, model, x)


@pytest.mark.parametrize(
    ("pads", "value", "attributes"),
    [
        ([0, 1, 1, 1, 0, 0, 1, 1], 0.0, {}),
        ([0, 0, 1, 1, 0, 0, 1, 1], 2.0, {}),
        ([0, 0, -1, 1, 0, 0, 1, 1], 0.0, {}),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, {"mode": "reflect"}),
    ],
)
def test_other_paddings_stay(pads: list[int], value: float, attributes: dict[str, str]) -> None:
    x = floats(2, 4, 7, 5)
    weights = {
        "w": floats(6, 4 + pads[1], 3, 3),
        "pads": np.array(pads),
        "value": np.array(value, np.float32),
    }
    inputs = ["x", "pads", *([] if attributes else ["value"])]
    model = model_of([node("Pad", inputs, "p", **attributes), node("Conv", ["p", "w"])], weights, x)

    assert with_absorbed_paddings(model) is model


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norms_become_affine(rank: int, dtype: type) -> None:
    x = floats(2, 6, *[3] * (rank - 2)).astype(dtype)
    weights = {name: array.astype(dtype) for name, array in BATCH_NORM.items()}
    model = model_of([node("BatchNormalization", ["x", "gamma", "beta", "mean", "variance"])], weights, x)

    rewritten = with_affine_batch_norms(model)

    assert operators(rewritten) == ["Mul", "Add"]
    assert_same(rewritten, model, x)


def test_batch_norms_in_training_mode_stay() -> None:
    nodes = [
        node("BatchNormalization", ["x", "gamma", "beta", "mean", "variance"], "y", "m", "v", training_mode=1)
    ]
    model = model_of(nodes, BATCH_NORM, floats(2, 6, 3), outputs="y m v")

    assert with_affine_batch_norms(model) is model


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ({"value_float": 2.5}, np.float32), ({"value_floats": [1.0, 2.0]}, np.float32),
        ({"value_int": 3}, np.int64), ({"value_ints": [3, 4]}, np.int64),
        ({"value": numpy_helper.from_array(np.float16(0.1))}, np.float16),
        ({"value": numpy_helper.from_array(np.array([1, 2], np.int8))}, np.int8),
    ],
)  # fmt: skip
def test_constants_keep_their_element_types(value: dict[str, Any], dtype: type) -> None:
    model = model_of([helper.make_node("Constant", [], ["y"], **value)], {}, floats(1))

    (tensor,) = with_dense_initializers(model).graph.initializer

    array = numpy_helper.to_array(tensor)
    assert (array.dtype, tensor.name) == (dtype, "y")
    np.testing.assert_array_equal(array, outputs_of(model, floats(1))[0])


def test_shapes_and_what_depends_on_them_are_folded() -> None:
    nodes = [
        node("Shape", ["x"], "shape", start=1),
        node("Gather", ["shape", "zero"], "size"),
        node("Mul", ["size", "two"], "twice"),
        node("Concat", ["one", "twice"], "target", axis=0),
        node("Range", ["start", "stop", "step"], "range"),
        node("Cast", ["range"], "line", to=TensorProto.FLOAT),
        node("ReduceSum", ["line"], "total"),
        node("Reshape", ["x", "target"], "r"),
        node("Shape", ["r"], "again"),
        node(
            "ConstantOfShape",
            ["again"],
            "zeros",
            value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0]),
        ),
        node("Add", ["r", "zeros"], "sum"),
        node("Mul", ["sum", "total"]),
    ]
    weights = {"zero": np.array([0]), "two": np.array([2]), "one": np.array([3])}
    weights |= {"start": np.array(1), "stop": np.array(9), "step": np.array(2)}
    x = floats(2, 3, 1)
    weights["one"] = np.array([1])
    model = model_of(nodes, weights, x)

    rewritten = with_folded_constants(model)

    assert operators(rewritten) == ["Reshape", "Add", "Mul"]
    assert_same(rewritten, model, x)


def test_constants_are_not_grown_beyond_their_use() -> None:
    nodes = [
        node("Expand", ["small", "large"], "big"),
        node("ReduceSum", ["big"], "sum"),
        node("Add", ["x", "sum"]),
    ]
    weights = {"small": floats(1), "large": np.array([1 << 10, 1 << 16])}
    used = model_of(nodes, weights, floats(1))
    kept = model_of([nodes[0], node("Add", ["x", "big"])], weights, floats(1))

    assert operators(with_folded_constants(used)) == ["Add"]
    assert with_folded_constants(kept) is kept


def test_quantized_weights_and_random_numbers_stay() -> None:
    nodes = [
        node("DequantizeLinear", ["q", "s"], "w"),
        node("RandomUniform", [], "r", shape=[1]),
        node("Add", ["x", "w"], "a"),
        node("Add", ["a", "r"]),
    ]
    weights = {"q": np.array([1, 2], np.int8), "s": np.array(0.5, np.float32)}
    model = model_of(nodes, weights, floats(2))

    assert with_folded_constants(model) is model


def test_weights_of_four_bits_are_folded() -> None:
    model = model_of(
        [node("DequantizeLinear", ["q", "s"], "w"), node("Add", ["x", "w"])],
        {"s": floats(1)},
        floats(2, 3),
        21,
    )
    model.ir_version = 10
    model.graph.initializer.append(helper.make_tensor("q", TensorProto.INT4, [2, 3], [-8, 7, 0, 1, 2, 3]))
    x = floats(2, 3)

    rewritten = with_folded_constants(model)

    assert operators(rewritten) == ["Add"]
    assert_same(rewritten, model, x)


def test_dropouts_are_identities_and_their_masks_true() -> None:
    nodes = [node("Dropout", ["x", "ratio", "training"], "d", "mask"), node("Relu", ["d"])]
    weights = {"ratio": np.array(0.5, np.float32), "training": np.array(False)}
    x = floats(2, 3)
    model = model_of(nodes, weights, x, outputs="y mask")

    rewritten = with_identity_dropouts(model)

    assert operators(rewritten) == ["Identity", "Relu"]
    assert_same(rewritten, model, x)
    with pytest.raises(Misuse, match=r"Dropout 'Dropout of d' .*drops at random"):
        with_identity_dropouts(model_of(nodes, {**weights, "training": np.array(True)}, x))


def test_copies_and_repeated_computations_are_removed() -> None:
    nodes = [
        node("Identity", ["x"], "a"),
        node("Cast", ["a"], "b", to=TensorProto.FLOAT),
        node("Slice", ["b", "zero", "all"], "c"),
        node("Slice", ["c", "last", "first", "axis", "back"], "d"),
        node("Reshape", ["d", "same"], "e"),
        node("Exp", ["e"], "f"),
        node("Exp", ["d"], "g"),
        node("Add", ["f", "g"]),
        node("Relu", ["x"], "unread"),
    ]
    weights = {
        name: np.array([value]) for name, value in (("zero", 0), ("all", 9), ("axis", 1), ("back", -1))
    }
    weights |= {"last": np.array([-1]), "first": np.array([-9]), "same": np.array([2, -1])}
    x = floats(2, 3)
    model = model_of(nodes, weights, x)

    rewritten = with_live_nodes(with_shared_nodes(without_copies(model)))

    assert operators(rewritten) == ["Slice", "Exp", "Add"]
    assert_same(rewritten, model, x)


CONDITIONS = {
    "zeros": np.zeros((1, 3), np.float32),
    "yes": np.ones((2, 3), bool),
    "no": np.zeros((), bool),
    "some": np.array([True, False, True]),
    "more": np.ones((4, 2, 3), bool),
}


@pytest.mark.parametrize("inputs", ["yes x zeros", "no zeros x"])
def test_choices_by_a_condition_that_never_changes_leave_no_node(inputs: str) -> None:
    model = model_of([node("Where", inputs.split(), "a"), node("Relu", ["a"])], CONDITIONS, floats(2, 3))
    assert operators(without_copies(model)) == ["Relu"]
    assert_same(without_copies(model), model, floats(2, 3))


@pytest.mark.parametrize("inputs", ["yes zeros x", "no x zeros", "some x zeros", "more x zeros"])
def test_other_choices_stay(inputs: str) -> None:
    model = model_of([node("Where", inputs.split(), "a"), node("Relu", ["a"])], CONDITIONS, floats(2, 3))
    assert operators(without_copies(model)) == ["Where", "Relu"]


def test_empty_tensors_are_left_out_of_concatenations() -> None:
    x = floats(2, 3)
    model = model_of([node("Concat", ["x", "none", "x"], axis=1)], {"none": floats(2, 0)}, x)

    rewritten = without_empty_operands(model)

    assert list(rewritten.graph.node[0].input) == ["x", "x"]
    assert_same(rewritten, model, x)


def test_operators_of_opset_6_are_converted() -> None:
    nodes = [node("Clip", ["x"], "c", min=-0.5, max=0.5), node("Add", ["c", "b"], axis=0, broadcast=1)]
    weights, x = {"b": floats(2)}, floats(2, 3)
    model = model_of(nodes, weights, x, opset=6)

    rewritten = with_current_opset(model)

    np.testing.assert_allclose(
        outputs_of(rewritten, x)[0], np.clip(x, -0.5, 0.5) + weights["b"][:, None], rtol=1e-6
    )
    assert with_current_opset(rewritten) is rewritten


def test_old_slopes_of_channels_stay_slopes_of_channels() -> None:
    weights, x = {"s": floats(3)}, floats(2, 3, 4, 3)
    model = model_of([node("PRelu", ["x", "s"])], weights, x, opset=6)

    (found,) = outputs_of(with_current_opset(model), x)

    np.testing.assert_allclose(found, np.where(x < 0, x * weights["s"][:, None, None], x), rtol=1e-6)


def test_loops_that_are_too_long_are_refused() -> None:
    step = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["more"]), helper.make_node("Neg", ["s"], ["next"])],
        "step",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("c", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, (1,)),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, (1,)),
        ],
    )
    model = model_of([node("Loop", ["count", "", "x"], body=step)], {"count": np.array(1 << 40)}, floats(1))

    with pytest.raises(Misuse, match=r"at most 1024 iterations .*Loop 'Loop of y'"):
        with_unrolled_control_flow(model)


def test_sorting_keeps_what_is_sorted_and_finds_cycles() -> None:
    nodes = [node("Neg", ["x"], "a"), node("Add", ["a", "b"]), node("Relu", ["y"], "b")]
    ordered = model_of(nodes[:1], {}, floats(1), outputs="a")

    assert with_sorted_nodes(ordered) is ordered
    with pytest.raises(Misuse, match=r"wait for each other: Add 'Add of y' .*, Relu 'Relu of b'"):
        with_sorted_nodes(model_of(nodes, {}, floats(1)))


def test_weights_of_any_size_take_part_in_shape_inference() -> None:
    model = model_of([node("MatMul", ["x", "w"])], {"w": floats(512, 64)}, floats(2, 512))
    model.graph.ClearField("value_info")

    assert inferred_types(model)["y"].static_shape == (2, 64)


REWRITES: tuple[Callable[[onnx.ModelProto], onnx.ModelProto], ...] = (
    with_absorbed_paddings, with_absorbed_scales, with_affine_batch_norms, with_current_opset, with_dense_initializers,
    with_folded_constants, with_identity_dropouts, with_live_nodes, with_shared_nodes, with_sorted_nodes,
    with_unrolled_control_flow, without_copies, without_empty_operands,
)  # fmt: skip


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_model_that_needs_nothing_is_returned_as_it_is(
    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto],
) -> None:
    model = model_of([node("Relu", ["x"])], {}, floats(2))

    assert rewrite(model) is model


@pytest.mark.parametrize("count", [33, 100, 1100])
@pytest.mark.parametrize("sizes", ["equal", "uneven"])
def test_many_parts_are_cut_and_joined_group_by_group(count: int, sizes: str) -> None:
    lengths = np.array([1 + (sizes == "uneven") * (place % 3) for place in range(count)])
    names = [f"part_{place}" for place in range(count)]
    nodes = [
        node("Split", ["x", "lengths"], *names, axis=1),
        *(node("Relu", [name], f"{name}_relu") for name in names),
        node("Concat", [f"{name}_relu" for name in names], axis=1),
    ]
    x = floats(2, int(lengths.sum()), 3)
    model = model_of(nodes, {"lengths": lengths}, x)

    rewritten = with_grouped_parts(model)

    parts = [max(len(each.input), len(each.output)) for each in rewritten.graph.node]
    assert max(parts) <= 32 and min(len(each.output) for each in rewritten.graph.node) == 1
    assert_same(rewritten, model, x)


def test_few_parts_stay() -> None:
    model = model_of([node("Concat", ["x"] * 32, axis=0)], {}, floats(2, 3))

    assert with_grouped_parts(model) is model


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", ["forward", "backward", "every other"])
def test_rows_that_are_gathered_one_by_one_are_split_off(axis: int, order: str) -> None:
    x = floats(12, 12, 12)
    steps = {"forward": range(12), "backward": range(-1, -13, -1), "every other": range(0, 12, 1)[::2]}[order]
    steps = [*steps, 0, 0] if order == "every other" else steps
    nodes = [node("Gather", ["x", f"i{n}"], f"row_{n}", axis=axis) for n, _ in enumerate(steps)]
    nodes.append(node("Sum", [f"row_{n}" for n, _ in enumerate(steps)]))
    model = model_of(nodes, {f"i{n}": np.array(step) for n, step in enumerate(steps)}, x)

    rewritten = with_split_rows(model)

    assert operators(rewritten).count("Split") == 1 and "Gather" not in operators(rewritten)
    assert_same(rewritten, model, x)


@pytest.mark.parametrize(
    "indices",
    [[np.array(step) for step in range(7)], [np.array([step]) for step in range(12)]],
    ids=["few rows", "slices of a row"],
)
def test_other_gathers_stay(indices: list[Array]) -> None:
    nodes = [node("Gather", ["x", f"i{n}"], f"row_{n}") for n, _ in enumerate(indices)]
    nodes.append(node("Sum", [f"row_{n}" for n, _ in enumerate(indices)]))
    model = model_of(nodes, {f"i{n}": index for n, index in enumerate(indices)}, floats(20, 3))

    assert with_split_rows(model) is model


def test_a_few_rows_of_a_long_tensor_are_read_where_they_lie() -> None:
    nodes = [node("Gather", ["x", f"i{n}"], f"row_{n}") for n in range(10)]
    nodes.append(node("Sum", [f"row_{n}" for n in range(10)]))
    model = model_of(nodes, {f"i{n}": np.array(n) for n in range(10)}, floats(100, 3))

    assert operators(with_split_rows(model)) == operators(model)
