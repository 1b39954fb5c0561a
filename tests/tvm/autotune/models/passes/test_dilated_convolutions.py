"""Dilated convolutions whose windows lie in the padding for a good part leave its rows out, and compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from written_network import written_network

from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target

RNG = np.random.default_rng(0)


def network(folder: Path, attributes: str, taps: tuple[int, int] = (3, 3), groups: int = 1) -> Model:
    """A convolution from 8 to 16 channels on an image of 11 x 13, with a bias and a ReLU."""
    constants = {
        "w": RNG.standard_normal((16, 8 // groups, *taps)).astype(np.float32),
        "b": RNG.standard_normal(16).astype(np.float32),
    }
    nodes = f"c = Conv<{attributes}, group={groups}>(x, w, b) y = Relu(c)"
    onnx.save(written_network("(float[2,8,11,13] x) => (float[n] y)", nodes, constants), folder / "net.onnx")
    return load_model(folder / "net.onnx")


def kernels(model: Model, target: Target) -> list[str]:
    return [name for name, _ in calls(lower(model, target)) if "conv2d" in name]


@pytest.mark.parametrize(
    ("attributes", "taps"),
    [
        ("dilations=[2,2], pads=[2,2,2,2]", (3, 3)),
        ("dilations=[6,6], pads=[6,6,6,6]", (3, 3)),
        ("dilations=[10,12], pads=[10,12,10,12]", (3, 3)),
        ("dilations=[3,2], pads=[3,1,4,3], strides=[2,3]", (3, 3)),
        ("dilations=[5,1], pads=[5,0,5,0]", (3, 1)),
        ("dilations=[4,4], pads=[0,0,20,0]", (2, 3)),
    ],
)
def test_rows_of_padding_are_left_out(
    attributes: str, taps: tuple[int, int], target: Target, tmp_path: Path
) -> None:
    model = network(tmp_path, attributes, taps)

    assert kernels(model, target) == ["fused_dilated_conv2d_add_relu1"]
    check_build(model, target)


@pytest.mark.parametrize(
    ("attributes", "taps", "groups"),
    [
        ("pads=[1,1,1,1]", (3, 3), 1),
        ("dilations=[2,2]", (3, 3), 1),
        ("dilations=[1,4], pads=[0,4,0,4]", (1, 3), 1),
        ("dilations=[4,4], pads=[4,4,4,4]", (3, 3), 2),
    ],
    ids=["dense", "no padding", "columns alone", "groups"],
)
def test_other_convolutions_stay_what_they_are(
    attributes: str, taps: tuple[int, int], groups: int, target: Target, tmp_path: Path
) -> None:
    model = network(tmp_path, attributes, taps, groups)

    assert not any("dilated" in name for name in kernels(model, target))
    check_build(model, target)
