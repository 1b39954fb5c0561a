"""Calls of built models share memory with their caller where that cannot be told from copies, and copy elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from written_network import written_network

from autotune.deployment.compilation import Build, compile
from autotune.deployment.executable import Executable, load
from autotune.deployment.tensors import LEAST_SHARED_BYTES
from autotune.models.model import load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

Array = npt.NDArray[np.float32]

SHAPE = (128, 256)
CONSTANT = np.arange(128 * 256, dtype=np.float32).reshape(SHAPE)
NODES = """
    rectified = Relu(x)
    same = Identity(x)
    flat = Reshape(x, whole)
    constant = Identity(c)
    again = Reshape(rectified, whole)
    exponential = Exp(x)
    viewed = Reshape(exponential, whole)
    first = Relu(row)
"""
OUTPUTS = ("rectified", "same", "flat", "constant", "again", "viewed", "first")


@pytest.fixture(scope="module")
def built(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A model whose outputs are computed, its inputs, a constant, views of these, and a few numbers."""
    path = tmp_path_factory.mktemp("shared") / "model.onnx"
    outputs = ", ".join(f"float[n] {name}" for name in OUTPUTS)
    signature = f"(float[128,256] x, float[4] row) => ({outputs})"
    onnx.save(written_network(signature, NODES, {"c": CONSTANT, "whole": [-1]}), path)
    return compile(load_model(path), target, TuningLog.in_memory())


@pytest.fixture(params=["built", "saved"])
def model(built: Build, request: pytest.FixtureRequest, tmp_path: Path) -> Executable:
    if request.param == "built":
        assert isinstance(built.executable, Executable)
        return built.executable.clone()
    loaded = load(built.save(tmp_path / "model.so"))
    assert isinstance(loaded, Executable)
    return loaded


def drawn(seed: int) -> Array:
    found = np.random.default_rng(seed).standard_normal(SHAPE, np.float32)
    assert found.nbytes >= LEAST_SHARED_BYTES
    return found


ROW = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)


def check(outputs: tuple[Array, ...], x: Array) -> None:
    rectified, same, flat, constant, again, viewed, first = outputs
    np.testing.assert_array_equal(rectified, np.maximum(x, 0))
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(flat, x.ravel())
    np.testing.assert_array_equal(constant, CONSTANT)
    np.testing.assert_array_equal(again, np.maximum(x, 0).ravel())
    np.testing.assert_allclose(viewed, np.exp(x).ravel(), rtol=1e-5)
    np.testing.assert_array_equal(first, [0, 0, 1, 2])


def outputs_of(model: Executable, x: Array) -> tuple[Array, ...]:
    found = model(x, ROW)
    assert isinstance(found, tuple)
    return found


def test_outputs_keep_their_values_while_the_model_is_called_again(model: Executable) -> None:
    inputs = [drawn(seed) for seed in range(4)]
    found = [outputs_of(model, x) for x in inputs]

    for outputs, x in zip(found, inputs, strict=True):
        check(outputs, x)


def test_outputs_outlive_their_model(built: Build, tmp_path: Path) -> None:
    model = load(built.save(tmp_path / "model.so"))
    assert isinstance(model, Executable)
    found = outputs_of(model, drawn(0))
    del model

    check(found, drawn(0))


def test_what_is_written_into_an_output_changes_nothing_else(model: Executable) -> None:
    x = drawn(0)
    for written in range(len(OUTPUTS)):
        outputs = outputs_of(model, x)
        outputs[written][...] = 77.0
        others = [output for place, output in enumerate(outputs) if place != written]
        assert not any(np.shares_memory(outputs[written], other) for other in (*others, x))
        np.testing.assert_array_equal(x, drawn(0))
        check(outputs_of(model, x), x)


def test_what_is_written_into_an_input_later_changes_no_output(model: Executable) -> None:
    x = drawn(0)
    found = outputs_of(model, x)
    x[...] = 77.0

    check(found, drawn(0))


def test_large_computed_outputs_are_not_copied_and_small_ones_are(model: Executable) -> None:
    rectified, same, flat, constant, again, viewed, first = outputs_of(model, drawn(0))

    assert [one.flags.owndata for one in (same, flat, constant, again, first)] == [True] * 5
    assert [one.flags.owndata for one in (rectified, viewed)] == [False] * 2


def _read_only(x: Array) -> Array:
    x.flags.writeable = False
    return x


def _at_an_odd_address(x: Array) -> Array:
    memory = np.empty(x.nbytes + 1, np.uint8)
    found = memory[1:].view(np.float32).reshape(x.shape)
    found[...] = x
    return found


def _at_sixteen_bytes(x: Array) -> Array:
    memory = np.empty(x.size + 32, np.float32)
    start = (-memory.ctypes.data // 4) % 16 + 4
    found = memory[start : start + x.size].reshape(x.shape)
    found[...] = x
    assert found.ctypes.data % 64 == 16
    return found


def _every_other(x: Array) -> Array:
    return np.repeat(x, 2, axis=1)[:, ::2]


def _columns_first(x: Array) -> Array:
    return np.asfortranarray(x)


@pytest.mark.parametrize(
    "stored", [_read_only, _at_an_odd_address, _at_sixteen_bytes, _every_other, _columns_first]
)
def test_inputs_are_read_wherever_they_lie(model: Executable, stored: object) -> None:
    assert callable(stored)
    check(outputs_of(model, stored(drawn(1))), drawn(1))


def test_an_output_is_an_input_of_the_next_call(model: Executable) -> None:
    rectified, *_ = outputs_of(model, drawn(0))

    check(outputs_of(model, rectified), rectified)


def test_a_new_axis_of_size_one_is_no_obstacle(target: Target, tmp_path: Path) -> None:
    onnx.save(
        written_network("(float[1,128,256] x) => (float[n] y)", "y = Neg(x)", {}), tmp_path / "model.onnx"
    )
    model = compile(load_model(tmp_path / "model.onnx"), target, TuningLog.in_memory())
    x = drawn(0)

    np.testing.assert_array_equal(model(x[np.newaxis]), -x[np.newaxis])
