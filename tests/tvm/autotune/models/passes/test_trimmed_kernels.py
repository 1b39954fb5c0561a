"""Convolutions lose the ends of their kernels that read padding alone, and compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from onnx import TensorProto, helper, numpy_helper

from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from search_spaces.tensor_ir import modules


@dataclass(frozen=True)
class Convolution:
    """A convolution of 8 channels to 16; sizes of its image, its kernel, and what is left of the kernel.

    padding: before each axis, then after each.
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[int, ...]
    kept: tuple[int, ...]
    strides: tuple[int, ...] = ()
    groups: int = 1

    def write(self, path: Path) -> Path:
        """Writes it as an ONNX file."""
        shape = (16, 8 // self.groups, *self.kernel)
        weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        strides = self.strides or (1,) * len(self.image)
        node = helper.make_node(
            "Conv",
            ["x", "w"],
            ["y"],
            dilations=self.dilations,
            pads=self.padding,
            strides=strides,
            group=self.groups,
        )
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, *self.image])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph([node], "net", [x], [y], [numpy_helper.from_array(weights, "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path


@pytest.mark.parametrize(
    "convolution",
    [
        Convolution((16, 16), (3, 3), (24, 24), (24,) * 4, kept=(1, 1)),
        Convolution((16, 40), (3, 3), (24, 24), (24,) * 4, kept=(1, 3)),
        Convolution((4, 4), (5, 5), (2, 2), (4,) * 4, kept=(3, 3)),
        Convolution((4, 4), (5, 5), (2, 2), (4,) * 4, kept=(3, 3), groups=2),
        Convolution((4, 4), (5, 5), (2, 2), (4,) * 4, kept=(3, 3), strides=(2, 2)),
        Convolution((4, 4), (3, 3), (1, 1), (1,) * 4, kept=(3, 3)),
        Convolution((1, 6, 6), (3, 3, 3), (1, 1, 1), (1,) * 6, kept=(1, 3, 3)),
        Convolution((2, 6, 6), (5, 3, 3), (1, 1, 1), (2, 1, 1) * 2, kept=(3, 3, 3)),
        Convolution((3,), (9,), (1,), (4, 4), kept=(5,)),
        Convolution((2,), (3,), (5,), (7, 3), kept=(3,)),  # no tap reads any of it
        Convolution((2,), (3,), (5,), (4, 6), kept=(3,)),  # the one that does would need a cut
    ],
)
def test_only_taps_that_read_the_image_are_left(
    convolution: Convolution, tmp_path: Path, target: Target
) -> None:
    model = load_model(convolution.write(tmp_path / "net.onnx"))
    check_build(model, target)
    weights = [
        spec.shape
        for task in extract_tasks(model, target)
        for spec in modules.signature(modules.load(task.workload.module))[1:2]
        if "conv" in task.name
    ]
    assert [shape for shape in weights if shape[-2:] == (8 // convolution.groups, 16)]
    assert [tuple(size for size in shape[:-2] if size > 1) for shape in weights] == [
        tuple(size for size in convolution.kept if size > 1)
    ]
