"""Channels are shuffled between groups in one swap of axes, and the outputs are the same."""

from pathlib import Path

from onnx_comparison import onnx_runtime_outputs
from shuffling_unit import shuffling_unit

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge, of_peer
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

AVX2 = Target.parse("llvm -mcpu=haswell -num-cores=1")


def test_the_outputs_are_the_same(tmp_path: Path) -> None:
    model = load_model(shuffling_unit(tmp_path / "unit.onnx"))
    inputs = draw(model.inputs, 0)

    ours = compile(model, AVX2, TuningLog.in_memory())(*inputs)

    theirs = onnx_runtime_outputs(model, inputs)
    verdict = judge(ours if isinstance(ours, tuple) else (ours,), of_peer(theirs))
    assert verdict.mistake is None, verdict


def test_the_image_is_not_transposed_for_a_shuffle(tmp_path: Path) -> None:
    model = load_model(shuffling_unit(tmp_path / "unit.onnx"))
    shuffles = [task.name for task in extract_tasks(model, AVX2) if "transpose" in task.name]
    assert shuffles
    assert all(name.count("transpose") == 1 for name in shuffles), shuffles
