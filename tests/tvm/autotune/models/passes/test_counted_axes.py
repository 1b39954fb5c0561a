"""Axes that are counted from the back keep no convolution from channels-last data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tvm
from build_comparison import check_build
from tvm import relax
from written_network import written_network

from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.passes.counted_axes import with_counted_axes
from autotune.models.task_extraction import calls
from search_spaces.target import Target


def test_convolutions_before_a_squeeze_of_the_last_axis_have_their_channels_last(
    target: Target, tmp_path: Path
) -> None:
    weights = np.random.default_rng(0).standard_normal((16, 8, 1, 3)).astype(np.float32)
    nodes = "c = Conv<pads=[0,1,0,1]>(x, w) r = Relu(c) m = ReduceMean<axes=[-1]>(r) y = Squeeze(m, last)"
    network = written_network("(float[2,8,1,20] x) => (float[n] y)", nodes, {"w": weights, "last": [-1]})
    onnx.save(network, tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")

    [convolution] = [func for name, func in calls(lower(model, target)) if "conv2d" in name]
    assert [int(size) for size in convolution.params[-1].shape] == [2, 1, 20, 16]
    check_build(model, target)


def test_axes_are_counted_from_the_front() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3, 1, 5), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            squeezed = builder.emit(relax.op.squeeze(x, [-2]))
            turned = builder.emit(relax.op.permute_dims(squeezed, [0, -1, 1]))
            stacked = builder.emit_output(relax.op.stack([turned, turned], -1))
        builder.emit_func_output(stacked)
    module = builder.get()

    counted = with_counted_axes(module)

    text = counted.script()
    assert all(axes in text for axes in ("axis=[2]", "axes=[0, 2, 1]", "axis=3"))
    tvm.ir.assert_structural_equal(counted["main"].ret_ty, module["main"].ret_ty)
