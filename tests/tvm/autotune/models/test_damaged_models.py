"""Files that are damaged, hostile or extreme: each is refused in one sentence, soon and in little memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.models.model import Model, load_model
from search_spaces.errors import AutotuneError, Misuse

FLOAT = TensorProto.FLOAT
X = helper.make_tensor_value_info("x", FLOAT, [2, 3])
Y = helper.make_empty_tensor_value_info("y")
W = np.ones((3, 3), np.float32)
RNG = np.random.default_rng(0)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Any] | None = None,
    inputs: Sequence[onnx.ValueInfoProto] = (X,),
    outputs: Sequence[onnx.ValueInfoProto] = (Y,),
) -> onnx.ModelProto:
    tensors = [
        value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in (weights or {}).items()
    ]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[onnx.ModelProto], Model]:
    def loaded(model: onnx.ModelProto) -> Model:
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        return load_model(tmp_path / "model.onnx")

    return loaded


def product(weight: Any) -> onnx.ModelProto:
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"], "product")], {"w": weight})


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN in"), (np.inf, "infinite values in")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weights_that_are_no_numbers_are_told(load, value: float, said: str, dtype: type) -> None:
    weight = W.astype(dtype)
    weight[1, 2] = value
    model = product(weight)
    model.graph.input[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    (notice,) = load(model).notices

    assert notice.startswith(said)
    assert "'w'" in notice


def test_masks_of_infinities_are_nothing_to_tell(load) -> None:
    mask = np.triu(np.full((2, 3), -np.inf, np.float32))

    assert not load(model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"w": mask})).notices


def stored(**fields: Any) -> TensorProto:
    return TensorProto(**{"name": "w", "data_type": FLOAT, "dims": [3, 3], "raw_data": W.tobytes(), **fields})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"raw_data": W.tobytes()[:-4]}, "stores 32 bytes in place of 36"),
        ({"raw_data": W.tobytes() + b"abcd"}, "stores 40 bytes in place of 36"),
        ({"data_type": 99}, "element type 99, which there is not"),
        ({"data_type": 0}, "element type 0, which there is not"),
        ({"dims": [-3, 3]}, r"has the shape \(-3, 3\)"),
        ({"dims": [1 << 40, 1 << 40]}, "stores 36 bytes in place of"),
    ],
)
def test_tensors_that_are_not_whole_are_refused(load, fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Misuse, match=rf"the tensor 'w' .*{complaint}"):
        load(product(stored(**fields)))


def test_tensors_of_too_few_numbers_are_refused(load) -> None:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[3, 3], float_data=[1.0] * 8)

    with pytest.raises(Misuse, match=r"the tensor 'w' .*cannot reshape array of size 8"):
        load(product(tensor))


def test_sparse_tensors_with_values_outside_are_refused(load) -> None:
    model = product(W)
    del model.graph.initializer[:]
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.array([100]), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3, 3]))

    with pytest.raises(Misuse, match=r"'w' of shape \(3, 3\) stores values outside"):
        load(model)


def external(**entries: Any) -> TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[3, 3], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "./sub/../w.bin"])
def test_weights_in_the_folder_of_the_model_are_read(load, tmp_path: Path, location: str) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("w.bin", "sub/w.bin"):
        (tmp_path / name).write_bytes(W.tobytes())

    assert not load(product(external(location=location))).notices


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "/etc/passwd"},
        {"location": "../out.bin"},
        {"location": "link.bin"},
        {"location": "up/out.bin"},
        {"location": "zero.bin", "length": 36},
        {"location": "fifo.bin"},
        {"location": "folder"},
        {"location": "none.bin"},
        {"location": "short.bin"},
        {"location": ""},
        {"location": "\0w.bin"},
        {"location": "w.bin", "offset": 30},
        {"location": "w.bin", "offset": -5},
        {"location": "w.bin", "offset": "abc"},
        {"location": "w.bin", "length": 4},
        {"location": "w.bin", "length": 1 << 40},
    ],
    ids=str,
)
def test_weights_elsewhere_and_weights_that_are_not_whole_are_refused(
    load, tmp_path: Path, entries: dict[str, Any]
) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "out.bin").write_bytes(W.tobytes())
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (tmp_path / "short.bin").write_bytes(b"1234")
    (tmp_path / "link.bin").symlink_to(outside / "out.bin")
    (tmp_path / "up").symlink_to(outside)
    (tmp_path / "zero.bin").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo.bin")

    with pytest.raises(Misuse) as refusal:
        load(product(external(**entries)))

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "name",
    [
        "--shape", "a b", "x:0", "x=1,2", "../x", "[red]x[/red]", "日本語", "a\nb", "'", "\0", "main", "lv", "R",
        "T.float32", "x" * 5000,
    ],
)  # fmt: skip
def test_inputs_of_any_name_come_in(load, name: str) -> None:
    value = helper.make_tensor_value_info(name, FLOAT, [2, 3])

    (found,) = load(model_of([helper.make_node("Relu", [name], ["y"])], inputs=[value])).inputs

    assert (found.name, found.shape) == (name, (2, 3))


@pytest.mark.parametrize("side", ["input", "output"])
def test_names_that_are_left_out_are_refused(load, side: str) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])])
    getattr(model.graph, side).append(helper.make_tensor_value_info("", FLOAT, [2, 3]))

    with pytest.raises(Misuse, match="expected a name for each"):
        load(model)


def test_nodes_of_one_name_are_told_apart(load) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"], "n"), helper.make_node("Exp", ["a"], ["y"], "n")]

    assert load(model_of(nodes)).inputs


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Relu", ["x"], ["y"])], {"w": W}),
        ([helper.make_node("Add", ["w", "w"], ["y"])], {"w": W}),
        ([helper.make_node("Size", ["x"], ["y"])], {"w": W}),
    ],
    ids=["stored", "computed", "size"],
)
def test_constants_as_outputs_come_in(load, nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> None:
    model = model_of(nodes, weights, outputs=[Y, helper.make_tensor_value_info("w", FLOAT, [3, 3])])

    assert len(load(model).module["main"].ret_ty.fields) == 2


HUGE = [1 << 29, 1 << 33, 1 << 50]


@pytest.mark.parametrize(
    "nodes",
    [
        lambda size: ([("ConstantOfShape", ["s"])], {"s": [size]}),
        lambda size: ([("Expand", ["w", "s"])], {"s": [size, 1], "w": W[:1, :1]}),
        lambda size: ([("Tile", ["w", "s"])], {"s": [size, 1], "w": W[:1, :1]}),
        lambda size: ([("Pad", ["w", "s"])], {"s": [0, 0, size, 0], "w": W[:1, :1]}),
        lambda size: ([("Range", ["a", "s", "d"])], {"a": 0, "s": size, "d": 1}),
        lambda size: ([("OneHot", ["i", "s", "values"])], {"i": [0], "s": size, "values": [0.0, 1.0]}),
        lambda size: ([("Resize", ["w", "", "", "s"])], {"s": [size, 1], "w": W[:1, :1]}),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Pad", "Range", "OneHot", "Resize"],
)
@pytest.mark.parametrize("size", HUGE)
def test_constants_of_many_gigabytes_are_not_made(load, nodes, size: int) -> None:
    made, weights = nodes(size)
    (operator, inputs) = made[0]
    rest = [
        helper.make_node(operator, inputs, ["v"], "grow"),
        helper.make_node("Cast", ["v"], ["f"], to=FLOAT),
        helper.make_node("ReduceSum", ["f"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(Misuse, match=f"{operator} 'grow'.* (GiB from constants alone|more than)"):
        load(model_of(rest, {name: np.asarray(value) for name, value in weights.items()}))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "kilobytes"


@pytest.mark.parametrize("shape", [[1 << 31, 1], [1 << 40], [1 << 62, 1 << 62], [2**63 - 1]], ids=str)
def test_inputs_beyond_an_index_are_refused(load, shape: list[int]) -> None:
    value = helper.make_tensor_value_info("x", FLOAT, shape)

    with pytest.raises(Misuse, match="expected inputs of up to 2147483647 elements; input 'x'"):
        load(model_of([helper.make_node("Relu", ["x"], ["y"])], inputs=[value]))


IMAGE = helper.make_tensor_value_info("x", FLOAT, [1, 1, 4, 4])


@pytest.mark.parametrize(
    ("node", "value"),
    [
        (helper.make_node("Gather", ["x", "far"], ["y"], axis=1), X),
        (helper.make_node("Gather", ["x", "far"], ["y"], axis=9), X),
        (helper.make_node("Cast", ["x"], ["y"]), X),
        (helper.make_node("Add", ["x"], ["y"]), X),
        (helper.make_node("Relu", ["x", "x"], ["y"]), X),
        (helper.make_node("Conv", ["x", "w"], ["y"]), X),
        (helper.make_node("Concat", ["x", "x"], ["y"], axis="a"), X),
        (helper.make_node("Reshape", ["x", "far"], ["y"]), X),
        (helper.make_node("Softmax", ["x"], ["y"], axis=7), X),
        (helper.make_node("Split", ["x", "far"], ["y"]), X),
        (helper.make_node("Pad", ["x", "far"], ["y"]), X),
        (helper.make_node("ReduceSum", ["x", "far"], ["y"]), X),
        (helper.make_node("TopK", ["x", "far"], ["y", "z"]), X),
        (helper.make_node("OneHot", ["x"], ["y"]), X),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[9, 9]), IMAGE),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[-1, 2]), IMAGE),
        (helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[0, 0]), IMAGE),
        (helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=3), IMAGE),
        (helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml"), X),
        (helper.make_node("", ["x"], ["y"]), X),
    ],
    ids=lambda node: node.op_type if isinstance(node, onnx.NodeProto) else "",
)
def test_nodes_that_fit_nothing_are_refused_by_name(
    load, node: onnx.NodeProto, value: onnx.ValueInfoProto
) -> None:
    with pytest.raises(Misuse, match=r"'?y'?") as refusal:
        load(model_of([node], {"far": np.array([7]), "w": W}, inputs=[value]))

    assert "\n" not in str(refusal.value)


def test_bytes_that_change_on_the_way_never_end_in_a_traceback(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["c", "", "s"], ["r"], "up"),
        helper.make_node("Softmax", ["r"], ["y"], "soft", axis=1),
    ]
    weights = {"k": np.ones((2, 1, 3, 3), np.float32), "s": np.array([1, 1, 2, 2], np.float32)}
    whole = model_of(nodes, weights, inputs=[IMAGE]).SerializeToString()
    path = tmp_path / "model.onnx"
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in RNG.integers(0, len(whole), RNG.integers(1, 4)):
            damaged[place] = RNG.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            load_model(path)
        except AutotuneError:
            refused += 1
    assert refused > 50


def nested(depth: int, is_constant: bool) -> onnx.ModelProto:
    """A condition in a condition, and so on."""

    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(node.output[0], FLOAT, [2, 3])]
        )

    inner = helper.make_node("Exp", ["x"], ["r0"])
    for level in range(1, depth + 1):
        other = branch("else", helper.make_node("Neg", ["x"], [f"e{level}"]))
        name = "y" if level == depth else f"r{level}"
        inner = helper.make_node("If", ["c"], [name], then_branch=branch("then", inner), else_branch=other)
    if is_constant:
        return model_of([inner], {"c": np.array(True)})
    return model_of([inner], inputs=[X, helper.make_tensor_value_info("c", TensorProto.BOOL, [])])


def test_conditions_in_conditions_take_no_more_than_their_number(load) -> None:
    start = time.process_time()

    assert load(nested(28, is_constant=True)).inputs

    assert time.process_time() - start < 20, "names that double at each level take minutes"


def test_computed_conditions_in_conditions_are_refused(load) -> None:
    with pytest.raises(Misuse, match=r"If 'y'.*its condition is computed"):
        load(nested(28, is_constant=False))


def with_functions(count: int, calls: Callable[[int], list[str]]) -> onnx.ModelProto:
    model = model_of([helper.make_node("F0", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    for level in range(count):
        names = ["a", *(f"t{place}" for place in range(len(calls(level)) - 1)), "b"]
        nodes = [
            helper.make_node(
                called, [names[place]], [names[place + 1]], domain="" if called == "Relu" else "own"
            )
            for place, called in enumerate(calls(level))
        ]
        model.functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, opsets))
    return model


def test_functions_that_never_end_are_refused(load) -> None:
    with pytest.raises(Misuse, match=r"the function 'F1' calls itself|the function 'F0' calls itself"):
        load(with_functions(2, lambda level: ["F1"] if level == 0 else ["F0"]))


def test_functions_that_double_each_other_are_refused(load) -> None:
    def calls(level: int) -> list[str]:
        return [f"F{level + 1}"] * 2 if level < 29 else ["Relu"]

    with pytest.raises(Misuse, match="expected at most 1000000 nodes"):
        load(with_functions(30, calls))

    assert load(with_functions(5, lambda level: [f"F{level + 1}"] * 2 if level < 4 else ["Relu"])).inputs


def chain(count: int) -> onnx.ModelProto:
    """A network as deep as it has nodes."""
    names = ["x", *(f"t{place}" for place in range(count - 1)), "y"]
    nodes = [
        helper.make_node(
            ("Sigmoid", "Add")[place % 2], [names[place], *["w"] * (place % 2)], [names[place + 1]]
        )
        for place in range(count)
    ]
    return model_of(nodes, {"w": W[0]})


def test_the_time_to_load_grows_with_the_number_of_nodes(load) -> None:
    seconds = []
    load(chain(50))
    for count in (500, 4000):
        start = time.process_time()
        load(chain(count))
        seconds.append(time.process_time() - start)

    assert seconds[1] < 3 * 8 * seconds[0], "a step that is quadratic takes 64 times as long"
