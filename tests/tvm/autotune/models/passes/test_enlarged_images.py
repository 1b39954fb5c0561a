"""Enlarged images whose channels come first are computed in two stages, and compute the same."""

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
CONSTANTS = {
    "k": RNG.standard_normal((8, 3, 3, 3)).astype(np.float32),
    "k8": RNG.standard_normal((8, 8, 3, 3)).astype(np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "wide": np.array([1, 1, 1, 4], np.float32),
    "half": np.array([1, 1, 0.5, 0.5], np.float32),
}
CONVOLUTION = "c = Conv<pads=[1,1,1,1]>(x, k)"


def network(path: Path, nodes: str) -> Model:
    onnx.save(written_network("(float[1,3,9,12] x) => (float[n] y)", nodes, CONSTANTS), path / "model.onnx")
    return load_model(path / "model.onnx")


def kernels(model: Model, target: Target) -> list[str]:
    return [name for name, _ in calls(lower(model, target))]


def resize(scales: str, data: str = "c", coordinates: str = "half_pixel") -> str:
    return f'Resize<mode="linear", coordinate_transformation_mode="{coordinates}">({data}, , {scales})'


@pytest.mark.parametrize(
    "nodes",
    [
        f"{CONVOLUTION} y = {resize('twice')}",
        f"{CONVOLUTION} y = {resize('wide')}",
        f"{CONVOLUTION} r = {resize('twice')} s = Sigmoid(r) y = Neg(s)",
        f"{CONVOLUTION} y = {resize('twice', coordinates='align_corners')}",
        f"{CONVOLUTION} y = {resize('twice', coordinates='asymmetric')}",
        f"{CONVOLUTION} y = {resize('twice', coordinates='pytorch_half_pixel')}",
        f"y = {resize('twice', data='x')}",
    ],
    ids=["ends", "wide", "functions", "corners", "asymmetric", "pytorch", "first"],
)
def test_an_enlarged_image_with_channels_first_is_computed_in_two_stages(
    nodes: str, target: Target, tmp_path: Path
) -> None:
    model = network(tmp_path, nodes)

    assert sum("enlarged" in name for name in kernels(model, target)) == 1
    check_build(model, target)


@pytest.mark.parametrize(
    "nodes",
    [
        f"{CONVOLUTION} r = {resize('twice')} y = Conv<pads=[1,1,1,1]>(r, k8)",
        f"{CONVOLUTION} y = {resize('half')}",
        f'{CONVOLUTION} y = Resize<mode="cubic">(c, , twice)',
    ],
    ids=["between convolutions", "smaller", "cubic"],
)
def test_other_images_are_resized_as_before(nodes: str, target: Target, tmp_path: Path) -> None:
    model = network(tmp_path, nodes)

    assert not any("enlarged" in name for name in kernels(model, target))
    check_build(model, target)


def test_an_image_that_others_read_as_well_is_resized_once(target: Target, tmp_path: Path) -> None:
    nodes = f"{CONVOLUTION} r = {resize('twice')} d = Conv(r, k8) e = ReduceMax(d) y = Add(r, e)"
    model = network(tmp_path, nodes)

    found = kernels(model, target)
    assert sum("enlarged" in name or "resize" in name for name in found) == 1
    check_build(model, target)
