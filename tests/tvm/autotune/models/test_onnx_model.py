"""What the reader of ONNX files takes, and what it says about files and shapes that it does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.models import onnx_file
from autotune.models.onnx_file import FixedSizes, InputSpec
from search_spaces.errors import Misuse


def two_inputs() -> onnx.ModelProto:
    """y = (left + right) · weight, with two inputs that share the free dimension "batch"."""
    weight = numpy_helper.from_array(np.ones((4, 2), np.float32), "weight")
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["left", "right"], ["sum"], name="adder"),
            helper.make_node("MatMul", ["sum", "weight"], ["y"], name="product"),
        ],
        "two_inputs",
        [
            helper.make_tensor_value_info("left", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("right", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("weight", TensorProto.FLOAT, [4, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two.onnx"
    onnx.save(two_inputs(), path)
    return path


def test_a_shape_given_for_one_input_fixes_the_dimension_of_that_name_everywhere(file: Path) -> None:
    model = onnx_file.read(file, {"left": (3, 4)})

    assert onnx_file.inputs(model) == (
        InputSpec("left", (3, 4), "float32"),
        InputSpec("right", (3, 4), "float32"),
    )


def test_weights_listed_as_inputs_are_not_inputs(file: Path) -> None:
    model = onnx_file.read(file, {"left": (3, 4)})

    assert "weight" not in [value.name for value in model.graph.input]
    assert model.ir_version >= 4


def test_free_dimensions_are_named_with_the_flag_that_fixes_them(file: Path) -> None:
    save_with_first_dimension(file, dim_param="rows")

    with pytest.raises(
        Misuse, match=r"left: <rows>, 4; right: <rows>, 4.*--shape left:<rows>,4 --shape right:<rows>,4"
    ):
        onnx_file.read(file, {})


def save_with_first_dimension(file: Path, **size: str | int) -> None:
    """Writes `two_inputs` with another first dimension of both inputs."""
    model = two_inputs()
    for value in model.graph.input[:2]:
        value.type.tensor_type.shape.dim[0].CopyFrom(onnx.TensorShapeProto.Dimension(**size))
    onnx.save(model, file)


@pytest.mark.parametrize(
    "free",
    [
        {"dim_value": -1},
        {"dim_value": 0},
        {},
        *(
            {"dim_param": name}
            for name in ("?", "N", "s6", "unk__12", "DynamicDimension.0", "x_dynamic_axes_1")
        ),
    ],
)
def test_a_free_batch_becomes_one_with_a_notice(file: Path, free: dict[str, str | int]) -> None:
    save_with_first_dimension(file, **free)

    model, notices = onnx_file.read_with_notices(file, FixedSizes({}, {}))

    assert [spec.shape for spec in onnx_file.inputs(model)] == [(1, 4), (1, 4)]
    assert "batch size of input 'left' is free" in notices[0] and "--shape left:N,4" in notices[0]
    assert len(notices) == 2


@pytest.mark.parametrize("size", [-1, 0])
def test_a_size_that_means_any_is_fixed_by_a_shape(file: Path, size: int) -> None:
    save_with_first_dimension(file, dim_value=size)

    model, notices = onnx_file.read_with_notices(file, FixedSizes({"left": (3, 4), "right": (3, 4)}, {}))

    assert [spec.shape for spec in onnx_file.inputs(model)] == [(3, 4), (3, 4)]
    assert notices == ()


def test_a_dimension_is_fixed_by_its_name(file: Path) -> None:
    save_with_first_dimension(file, dim_param="rows")

    assert [spec.shape for spec in onnx_file.inputs(onnx_file.read(file, {}, {"rows": 5}))] == [
        (5, 4),
        (5, 4),
    ]
    with pytest.raises(Misuse, match=r"expected the name of a free dimension .*found 'columns'"):
        onnx_file.read(file, {}, {"columns": 5})
    with pytest.raises(Misuse, match="expected 5 for dimension 'rows' of input 'left'"):
        onnx_file.read(file, {"left": (3, 4)}, {"rows": 5})
    with pytest.raises(Misuse, match="expected a size from 1"):
        onnx_file.read(file, {}, {"rows": 2**40})


def test_inputs_that_no_index_can_reach_are_refused(file: Path) -> None:
    with pytest.raises(Misuse, match=r"expected inputs of up to \d+ elements"):
        onnx_file.read(file, {"left": (2**33, 4)})


def test_nodes_out_of_order_are_sorted(file: Path) -> None:
    model = two_inputs()
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, file)

    found = onnx_file.read(file, {"left": (3, 4)})

    assert [node.name for node in found.graph.node] == ["adder", "product"]


def test_cycles_are_refused_with_their_nodes(file: Path) -> None:
    model = two_inputs()
    model.graph.node[0].input[1] = "y"
    onnx.save(model, file)

    with pytest.raises(Misuse, match=r"without cycles; .*Add 'adder'.*MatMul 'product'"):
        onnx_file.read(file, {"left": (3, 4)})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda model: model.graph.input[1].__setattr__("name", "left"), "two inputs are called 'left'"),
        (
            lambda model: model.graph.initializer.add().CopyFrom(model.graph.initializer[0]),
            "two weights .*'weight'",
        ),
        (lambda model: model.graph.node[0].output.__setitem__(0, "y"), "two results are called 'y'"),
        (
            lambda model: model.graph.node[0].output.__setitem__(0, "left"),
            "computes 'left', which is given as well",
        ),
        (
            lambda model: model.opset_import[0].__setattr__("version", 999),
            r"opset up to \d+, .* has opset 999",
        ),
    ],
)
def test_names_and_versions_that_mean_nothing_are_refused(
    file: Path, change: Callable[[onnx.ModelProto], None], complaint: str
) -> None:
    model = two_inputs()
    change(model)
    onnx.save(model, file)

    with pytest.raises(Misuse, match=complaint):
        onnx_file.read(file, {"left": (3, 4)})


def test_weights_outside_the_folder_are_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(32))
    model = two_inputs()
    onnx.save(model, file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    light = onnx.load(file, load_external_data=False)
    light.graph.initializer[0].external_data[0].value = "../secret.bin"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "model.onnx").write_bytes(light.SerializeToString())

    with pytest.raises(Misuse, match=r"secret\.bin"):
        onnx_file.read(tmp_path / "inner" / "model.onnx", {"left": (3, 4)})


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"middle": (3, 4)}, "expected the shape of an input of two.onnx .*found one for 'middle'"),
        ({"weight": (4, 2)}, "found one for 'weight'"),
        ({"left": (3, 4, 1)}, "expected 2 dimensions for input 'left'"),
        ({"left": (3, 5)}, "expected 4 for dimension 4 of input 'left'"),
        ({"left": (0, 4)}, "expected positive sizes for input 'left'"),
        ({"left": (3, 4), "right": (2, 4)}, "expected 3 for dimension 'batch' of input 'right'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    file: Path, shapes: dict[str, tuple[int, ...]], complaint: str
) -> None:
    with pytest.raises(Misuse, match=complaint):
        onnx_file.read(file, shapes)


def test_a_file_cut_at_any_byte_is_refused_in_one_sentence(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    cut = tmp_path / "cut.onnx"
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        refusal = _refusal(cut)
        if refusal is None:
            # Only what follows the graph and its operator set may be missing unnoticed.
            assert onnx.load(cut).graph == two_inputs().graph
        else:
            assert "\n" not in refusal


def _refusal(path: Path) -> str | None:
    try:
        onnx_file.read(path, {"left": (3, 4)})
    except Misuse as refusal:
        return str(refusal)
    return None


@pytest.mark.parametrize("content", [b"", b"hello world\n", b"\x00" * 100, b"{}", bytes(range(256))])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)

    with pytest.raises(Misuse, match="expected an ONNX"):
        onnx_file.read(path, {})


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="does not exist"):
        onnx_file.read(tmp_path / "none.onnx", {})
    with pytest.raises(Misuse, match="is a directory"):
        onnx_file.read(tmp_path, {})


def test_missing_external_weights_are_named(file: Path, tmp_path: Path) -> None:
    model = two_inputs()
    onnx.save(model, file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(Misuse, match=r"weights\.bin"):
        onnx_file.read(file, {"left": (3, 4)})


def test_a_graph_that_reads_what_nothing_computes_is_refused(tmp_path: Path) -> None:
    model = two_inputs()
    model.graph.node[1].input[0] = "lost"
    path = tmp_path / "dangling.onnx"
    onnx.save(model, path)

    with pytest.raises(Misuse, match=r"nothing computes 'lost', which MatMul .product. reads"):
        onnx_file.read(path, {"left": (3, 4)})
