"""Scores of one token are computed from keys as they are cached, not from a transposed copy of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from build_comparison import check_build
from written_network import written_network

from autotune.models.lowering import lower
from autotune.models.model import load_model
from autotune.models.task_extraction import calls
from search_spaces.target import Target

SCORES = """
    transposed = Transpose<perm=[{perm}]>(keys)
    product = MatMul(query, transposed)
    scores = Mul(product, scale)
"""


def transposed_keys(query: str, keys: str, perm: str, target: Target, folder: Path) -> bool:
    """Whether a build moves keys, and not the query and the scores alone; checks its outputs."""
    signature = f"(float[{query}] query, float[{keys}] keys) => (float[n, m, k, l] scores)"
    nodes = SCORES.format(perm=perm)
    onnx.save(written_network(signature, nodes, {"scale": np.float32(0.125)}), folder / "model.onnx")
    model = load_model(folder / "model.onnx")
    check_build(model, target)
    return any("transpose" in name for name, _ in calls(lower(model, target)))


@pytest.mark.parametrize("batch", [1, 2])
def test_keys_of_one_token_stay_as_they_are(batch: int, target: Target, tmp_path: Path) -> None:
    assert not transposed_keys(f"{batch},4,1,32", f"{batch},4,50,32", "0,1,3,2", target, tmp_path)


def test_keys_of_several_tokens_are_transposed(target: Target, tmp_path: Path) -> None:
    assert transposed_keys("1,4,50,32", "1,4,50,32", "0,1,3,2", target, tmp_path)


def test_tokens_before_heads_are_exchanged_with_these_alone(target: Target, tmp_path: Path) -> None:
    assert transposed_keys("1,4,1,32", "1,50,4,32", "0,2,3,1", target, tmp_path)
