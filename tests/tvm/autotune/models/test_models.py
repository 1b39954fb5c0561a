"""Real models come in whole: imported, lowered to tasks, and computing what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import onnx_runtime_outputs

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge, of_peer
from autotune.models.model import Model, load_model
from autotune.models.operators import OPERATORS, operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.tensor_ir import modules
from tuning_logs.file.log import TuningLog

_SMALLEST_OF_EACH = {
    "batch_matmul": "1,16,16,16",
    "conv1d_nlc": "1,16,8,8,3,1,1",
    "conv2d_bias_relu_nhwc": "1,8,8,4,4,3,1,1",
    "conv2d_bn_relu_nhwc": "1,8,8,4,4,3,1,1",
    "conv2d_capsule_nhwijc": "1,8,8,4,4,3,1,1",
    "conv2d_nchw": "1,8,8,4,4,3,3,1,1",
    "conv2d_nhwc": "1,8,8,4,4,3,1,1",
    "conv2d_transpose_nhwc": "1,4,4,8,8,4,2,1",
    "conv2d_winograd_nhwc": "1,8,8,4,4",
    "conv3d_ndhwc": "1,4,8,8,4,4,3,1,1",
    "depthwise_conv2d_nhwc": "1,8,8,4,3,1,1",
    "dilated_conv2d_nhwc": "1,8,8,4,4,3,1,1,2",
    "group_conv2d_nhwc": "1,8,8,4,4,3,1,1,1,2",
    "layer_norm": "16,16",
    "matmul": "16,16,16",
    "matmul_relu": "16,16,16",
    "max_pool2d_nchw": "1,8,8,4,1",
    "norm": "1,16,16",
    "softmax": "16,16",
    "transpose_batch_matmul": "1,16,2,8",
}


def computes_what_onnx_runtime_does(model: Model, target: Target) -> None:
    inputs = draw(model.inputs, 0)
    ours = compile(model, target, TuningLog.in_memory())(*inputs)
    theirs = onnx_runtime_outputs(model, inputs)
    assert max(np.ptp(each) for each in theirs) > 0, "constant outputs would prove nothing"
    verdict = judge(ours if isinstance(ours, tuple) else (ours,), of_peer(theirs))
    assert verdict.mistake is None, verdict


@pytest.mark.parametrize(("name", "tasks", "calls"), [("squeezenet", 38, 52), ("shufflenet", 36, 88)])
def test_an_architecture_comes_in_and_computes_the_same(
    name: str, tasks: int, calls: int, seeded_weights: ModuleType, tmp_path: Path, target: Target
) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model(name))), path)
    model = load_model(path)

    found = extract_tasks(model, target)

    assert len(found) == tasks
    assert sum(task.weight for task in found) == calls
    assert len({task.key for task in found}) == len(found)
    computes_what_onnx_runtime_does(model, target)


@pytest.mark.parametrize("name", ["magika", "mtcnn-pnet"])
def test_a_trained_model_comes_in_and_computes_the_same(
    name: str, trained_models: ModuleType, target: Target
) -> None:
    [trained] = [each for each in trained_models.TRAINED_MODELS if each.name == name]

    computes_what_onnx_runtime_does(load_model(trained.path, trained.shapes), target)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("nudenet", 50, marks=pytest.mark.long),
        ("minilm", 15),
        ("basic-pitch", 30),
        ("mtcnn-rnet", 8),
        ("mtcnn-onet", 10),
    ],
)
def test_a_trained_model_has_tasks(name: str, least: int, trained_models: ModuleType, target: Target) -> None:
    [trained] = [each for each in trained_models.TRAINED_MODELS if each.name == name]

    assert len(extract_tasks(load_model(trained.path, trained.shapes), target)) >= least


def test_tasks_come_in_order_of_first_call_and_count_their_calls(small_network: Path, target: Target) -> None:
    first, again = (extract_tasks(load_model(small_network), target) for _ in range(2))

    assert [task.key for task in first] == [task.key for task in again]
    assert [task.weight for task in first if "conv2d" in task.name] == [2]
    assert "transpose" in first[0].name
    assert "softmax" in first[-1].name


def test_convolutions_run_on_channels_last_data_whatever_the_file_says(
    small_network: Path, target: Target
) -> None:
    [convolution] = [
        task for task in extract_tasks(load_model(small_network), target) if "conv2d" in task.name
    ]

    data, weight, *_ = modules.signature(modules.load(convolution.workload.module))
    assert data.shape == (1, 8, 8, 16)
    assert weight.shape == (3, 3, 16, 16)
    assert weight.is_layout_free


@pytest.mark.parametrize("operator", ["Sum", "Max", "Min"])
def test_operators_of_many_operands_fuse_pairwise(operator: str, tmp_path: Path, target: Target) -> None:
    names = ["a", "b", "c"]
    shapes = {"a": [4, 8], "b": [4, 8], "c": [8]}
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["s"]), helper.make_node("Relu", ["s"], ["y"])],
        "many",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])],
    )
    path = tmp_path / "many.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    model = load_model(path)

    [task] = extract_tasks(model, target)

    assert "stack" not in task.name
    computes_what_onnx_runtime_does(model, target)


def test_a_prim_func_and_its_module_are_one_task(target: Target) -> None:
    task = operator_task("matmul:16,16,16", target)
    module = modules.load(task.workload.module)

    assert [each.key for each in extract_tasks(module, target)] == [task.key]
    assert [each.key for each in extract_tasks(module["main"], target)] == [task.key]


def test_unsupported_operators_are_all_named_with_their_places(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Tokenizer", ["x"], ["d"], name="tokens", domain="com.microsoft"),
            helper.make_node("Relu", ["d"], ["r"]),
            helper.make_node("Fancy", ["r"], ["y"], name="fancy_1", domain="my.domain"),
        ],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)

    with pytest.raises(Misuse, match=r"com\.microsoft\.Tokenizer at tokens; my\.domain\.Fancy at fancy_1"):
        load_model(path)


def test_an_operator_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "x"], ["y"], name="product")],
        "wrong",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    path = tmp_path / "wrong.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)

    with pytest.raises(Misuse, match=r"cannot import wrong\.onnx"):
        load_model(path)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_by_name_is_a_task(name: str, target: Target) -> None:
    task = operator_task(f"{name}:{_SMALLEST_OF_EACH[name]}", target)

    assert task.workload.flops > 0
    assert task.name.startswith(name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("matmull:1,2,3", r"one of batch_matmul, .*, transpose_batch_matmul; found 'matmull'"),
        ("matmul", r"expected matmul:n,m,k with whole numbers of at most 9 digits; found 'matmul'"),
        ("matmul:1,2", r"expected matmul:n,m,k"),
        ("matmul:1,2,3,4", r"expected matmul:n,m,k"),
        ("matmul:1,2,x", r"expected matmul:n,m,k"),
        ("matmul:1,0,3", r"expected a positive m; found 0"),
        ("conv2d_nhwc:1,2,2,3,4,7,1,0", r"its output would be empty"),
        ("conv2d_nhwc:1,8,8,3,4", r"N,H,W,CI,CO,kernel_size\[,stride=1\]\[,padding=0\]"),
    ],
)
def test_operators_that_do_not_exist_are_refused(text: str, complaint: str, target: Target) -> None:
    with pytest.raises(Misuse, match=complaint):
        operator_task(text, target)


def test_a_batch_norm_of_its_own_becomes_a_scale_and_a_shift(tmp_path: Path, target: Target) -> None:
    rng = np.random.default_rng(0)
    statistics = {
        name: rng.uniform(0.5, 2.0, 6).astype(np.float32) for name in ("scale", "bias", "mean", "variance")
    }
    graph = helper.make_graph(
        [
            helper.make_node("BatchNormalization", ["x", *statistics], ["n"], epsilon=0.01),
            helper.make_node("Relu", ["n"], ["y"]),
        ],
        "normed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6, 5, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 6, 5, 3])],
        [numpy_helper.from_array(values, name) for name, values in statistics.items()],
    )
    path = tmp_path / "normed.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    model = load_model(path)

    [task] = extract_tasks(model, target)

    assert "divide" not in task.name
    computes_what_onnx_runtime_does(model, target)


def test_a_model_that_cannot_be_laid_out_anew_keeps_its_layout(tmp_path: Path, target: Target) -> None:
    kernel = numpy_helper.from_array(
        np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32), "k"
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Mean", ["c", "x"], ["y"]),
        ],
        "averaged",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [kernel],
    )
    path = tmp_path / "averaged.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)

    computes_what_onnx_runtime_does(load_model(path), target)
