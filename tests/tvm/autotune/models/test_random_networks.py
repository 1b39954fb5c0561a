"""Builds without a log compute what ONNX Runtime does, of networks of any operators in any order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_comparison import compare, run
from random_networks import random_network

from autotune.deployment.compilation import compile
from autotune.models.model import load_model
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

AVX2 = Target.parse("llvm -mcpu=haswell -num-cores=2")


@pytest.mark.parametrize(
    "seed", [*range(24), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(24, 400))]
)
def test_outputs(seed: int, tmp_path: Path, target: Target) -> None:
    written, inputs = random_network(np.random.default_rng(seed))
    onnx.save(written, tmp_path / "model.onnx")
    named = dict(zip((value.name for value in written.graph.input), inputs, strict=True))
    model = load_model(tmp_path / "model.onnx")

    build = compile(model, AVX2 if seed % 3 == 0 else target, TuningLog.in_memory())
    found = build(*(named[spec.name] for spec in model.inputs))

    compare([np.asarray(each) for each in found], run(written, inputs), 1e-4)


def test_networks_are_of_many_operators() -> None:
    found = Counter(
        node.op_type
        for seed in range(400)
        for node in random_network(np.random.default_rng(seed))[0].graph.node
    )
    assert len(found) > 40
