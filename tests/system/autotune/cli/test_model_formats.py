"""The command line on files of other formats than ONNX."""

from __future__ import annotations

import importlib.util
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import run_here
from repository import GOLDEN

from autotune.models.extras import needing
from search_spaces.errors import Misuse

MODELS = GOLDEN / "models"
NEEDS_TFLITE = pytest.mark.skipif(find_spec("tflite") is None, reason="the tflite package is not installed")
NEEDS_INTERPRETER = pytest.mark.skipif(
    find_spec("tflite") is None or find_spec("ai_edge_litert") is None,
    reason="TFLite's interpreter is not installed: pip install ai-edge-litert",
)
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


@NEEDS_TFLITE
@pytest.mark.long
def test_an_int8_file_is_tuned_and_built(tmp_path: Path) -> None:
    file, log, library = MODELS / "int8.tflite", tmp_path / "log.jsonl", tmp_path / "int8.so"
    tasks = json.loads(run_here("tasks", file, "--json").stdout)
    assert len(tasks["tasks"]) == 8
    tuned = run_here("tune", file, "--log", log, "--trials", "10")
    assert tuned.returncode == 0, tuned.stderr
    built = run_here("build", file, "--log", log, "--output", library)
    assert (built.returncode, library.is_file()) == (0, True), built.stderr


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("float.tflite", marks=NEEDS_INTERPRETER),
        pytest.param("int8.tflite", marks=NEEDS_INTERPRETER),
        pytest.param("residual.pt2", marks=NEEDS_TORCH),
        pytest.param("decoder.pt2", marks=NEEDS_TORCH),
    ],
)
def test_check_compares_with_the_runtime_of_the_format(name: str) -> None:
    told = run_here("check", MODELS / name, "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["outputs_equal"] is True


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weights.pt", "torch.export.save"),
        ("weights.safetensors", "torch.export.save"),
        ("net.keras", "TFLiteConverter"),
        ("net.mlir", "StableHLO is not supported"),
    ],
)
def test_files_without_a_graph_say_how_to_get_one(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"weights")
    ended = run_here("tasks", tmp_path / name)
    assert ended.returncode == 2
    assert "AT102" in ended.stderr
    assert words in " ".join(ended.stderr.split())


def test_ranges_of_sizes_are_for_onnx_files(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    ended = run_here(
        "tune", MODELS / "float.tflite", "--log", log, "--shape", "x:1..8,16,16,3", "--trials", "2"
    )
    assert ended.returncode == 2
    assert "expected an ONNX file for a range of sizes" in " ".join(ended.stderr.split())


def test_a_missing_extra_is_said_in_one_sentence() -> None:
    assert importlib.util.find_spec("no_such_package") is None
    with pytest.raises(Misuse, match=r"pip install 'autotune\[torch\]'") as error:
        needing("torch", "no_such_package", "to read a PyTorch program (.pt2)")
    assert error.value.code == "AT802"


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed")
def test_a_program_without_pytorch() -> None:
    ended = run_here("tasks", MODELS / "residual.pt2")
    assert ended.returncode == 2
    assert "autotune[torch]" in " ".join(ended.stderr.split())
