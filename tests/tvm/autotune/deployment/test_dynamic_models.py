"""One library for ranges of sizes computes what ONNX Runtime does at every size, also when threads share it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.deployment.compilation import compile
from autotune.deployment.executable import Executable, load
from autotune.deployment.shape_dispatch import DynamicExecutable
from autotune.models.dynamic_axes import read_dynamic_inputs
from autotune.models.dynamic_inputs import DynamicInputs, Sizes
from autotune.models.dynamic_model import DynamicModel, import_variants
from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.shape_plan import OutputDim, Padding, ShapePlan
from autotune.models.size_range import SizeRange
from autotune.models.task_extraction import extract_tasks
from search_spaces import Misuse, Target
from tuning_logs import TuningLog

BATCH, HEIGHT = SizeRange(1, 3), SizeRange(8, 16, 4)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions of stride 1, with free batch and height; the outputs are the last and a mean over pixels."""
    rng = np.random.default_rng(0)
    weights = {"k": (16, 3, 3, 3), "l": (16, 16, 3, 3)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "l"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yz"],
        [
            numpy_helper.from_array(rng.standard_normal(shape, np.float32) / 6, name)
            for name, shape in weights.items()
        ],
    )
    path = tmp_path_factory.mktemp("models") / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def inputs(network: Path) -> DynamicInputs:
    return read_dynamic_inputs(network, {}, {"batch": BATCH, "height": HEIGHT})[0]


def plan(inputs: DynamicInputs, *variants: Sizes, has_fallback: bool) -> ShapePlan:
    """A plan in which the batch is padded."""
    outputs = (OutputDim(0, 0, 0, 1, 1, 0), OutputDim(1, 0, 0, 1, 1, 0))
    return ShapePlan(inputs, (Padding(), None), outputs, variants, has_fallback)


@pytest.fixture(scope="module")
def model(network: Path, inputs: DynamicInputs) -> DynamicModel:
    return import_variants(network, plan(inputs, (1, 8), (3, 8), (3, 16), has_fallback=True))


@pytest.fixture(scope="module")
def library(model: DynamicModel, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "model.so"
    return compile(model, target, TuningLog.in_memory()).save(path)


def images(sizes: Sizes, seed: int = 0) -> np.ndarray:
    batch, height = sizes
    return np.random.default_rng(seed).standard_normal((batch, 3, height, 8), np.float32)


def check(found: tuple[np.ndarray, ...], right: list[np.ndarray]) -> None:
    assert len(found) == len(right)
    for mine, theirs in zip(found, right, strict=True):
        assert mine.flags.c_contiguous
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_every_size_has_the_outputs_of_onnx_runtime(network: Path, library: Path) -> None:
    built = load(library)
    assert isinstance(built, DynamicExecutable)
    session = onnxruntime.InferenceSession(network)
    for sizes in product(BATCH.sizes, HEIGHT.sizes):
        check(built(images(sizes)), session.run(None, {"x": images(sizes)}))


def test_a_build_is_called_before_it_is_saved_as_well(
    network: Path, model: DynamicModel, target: Target
) -> None:
    built = compile(model, target, TuningLog.in_memory())
    assert built.inputs == model.inputs
    session = onnxruntime.InferenceSession(network)
    check(built(images((2, 8))), session.run(None, {"x": images((2, 8))}))


def test_the_tasks_are_those_of_all_variants_and_equal_operators_are_one(
    network: Path, model: DynamicModel, target: Target
) -> None:
    alone = [
        {task.key for task in extract_tasks(load_model(network, one.shapes), target)}
        for one in model.variants.values()
    ]
    assert {task.key for task in extract_tasks(model, target)} == set.union(*alone)
    assert len(set.union(*alone)) == sum(map(len, alone))
    names = [name.name_hint for name in lower(model, target).get_global_vars()]
    assert {"main", "main_of_1x8", "main_of_3x8", "main_of_any_size"} <= set(names)


def in_8_threads(serve: Callable[[int], None]) -> None:
    """Calls it side by side, each time with a seed of its own; raises what one of them raises."""
    at_once = threading.Barrier(8)

    def start(seed: int) -> None:
        at_once.wait()
        serve(seed)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))


def test_threads_share_a_built_model(library: Path) -> None:
    built = load(library)
    sizes = list(product(BATCH.sizes, HEIGHT.sizes))
    right = [built(images(each)) for each in sizes]

    def serve(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for place in rng.integers(len(sizes), size=40):
            check(built(images(sizes[place])), list(right[place]))

    in_8_threads(serve)


def test_threads_share_a_model_of_one_size(network: Path, target: Target, tmp_path: Path) -> None:
    build = compile(load_model(network, dims={"batch": 1, "height": 8}), target, TuningLog.in_memory())
    built = load(build.save(tmp_path / "model.so"))
    assert isinstance(built, Executable)
    right = [built(images((1, 8), seed)) for seed in range(8)]

    def serve(seed: int) -> None:
        for _ in range(100):
            check(built(images((1, 8), seed)), list(right[seed]))

    in_8_threads(serve)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        (images((1, 8)), images((1, 8))),
        (images((4, 8)),),
        (images((1, 9)),),
        (images((1, 8))[:, :2],),
        (images((1, 8))[0],),
        (images((1, 8)).astype(np.float64),),
    ],
    ids=["none", "two", "batch", "height", "channels", "rank", "dtype"],
)
def test_what_is_out_of_range_is_refused(library: Path, wrong: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(Misuse, match=r"expected x:1\.\.3,3,8\.\.16:4,8 float32; found"):
        load(library)(*wrong)


def test_without_a_fallback_sizes_that_are_not_built_are_refused(
    network: Path, inputs: DynamicInputs, target: Target
) -> None:
    model = import_variants(network, plan(inputs, (3, 8), (3, 16), has_fallback=False))
    built = compile(model, target, TuningLog.in_memory())
    assert built(images((2, 16)))[0].shape == (2, 16, 16, 8)
    with pytest.raises(
        Misuse, match=r"batch, height that were built: 3 x 8, 3 x 16 \(or smaller along batch\); found 2 x 12"
    ):
        built(images((2, 12)))


def test_an_input_whose_mask_hides_everything_is_not_padded(
    network: Path, inputs: DynamicInputs, target: Target
) -> None:
    masked = ShapePlan(
        inputs,
        (Padding((0,)), None),
        (OutputDim(0, 0, 0, 1, 1, 0), OutputDim(1, 0, 0, 1, 1, 0)),
        ((3, 8), (3, 16)),
        has_fallback=False,
    )
    built = compile(import_variants(network, masked), target, TuningLog.in_memory())
    built(images((2, 8)))
    with pytest.raises(Misuse, match="found 2 x 8"):
        built(np.zeros((2, 3, 8, 8), np.float32))
