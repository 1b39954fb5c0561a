"""The keys of real operators: tasks of the architectures that come with the onnx package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tvm
import tvm_ffi
from repository import ROOT

from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import load, normalize

# Reads names and module texts or, of the one model given, the file; prints the keys.
FRESH = """
import json, sys
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from search_spaces.tensor_ir.modules import load, workload
from search_spaces.target import Target

texts, model = sys.argv[1:]
with open(texts) as file:
    keys = [workload(load(text), "another name").key for text in json.load(file)]
print(json.dumps([keys, [task.key for task in extract_tasks(load_model(model), Target.parse("llvm -num-cores=2"))]]))
"""


@dataclass(frozen=True)
class Sample:
    """Architectures, and at least how many different operators they have, and how many that others had before."""

    names: tuple[str, ...]
    programs: int
    shared: int


FEW = Sample(("alexnet", "shufflenet", "squeezenet"), 80, 1)
ALL = Sample(
    (
        *("alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
        *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
    ),
    300,
    10,
)


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=["few", "all"])
def sample(request: pytest.FixtureRequest) -> Sample:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def tasks_by_model(
    sample: Sample, seeded_weights: ModuleType, target: Target
) -> dict[str, tuple[TuningTask, ...]]:
    return {
        name: extract_tasks(load_model(seeded_weights.light_model(name)), target) for name in sample.names
    }


def test_the_sample_of_all_is_whole(seeded_weights: ModuleType) -> None:
    assert list(ALL.names) == seeded_weights.names()


def test_operators_have_the_same_key_if_and_only_if_they_are_the_same(
    sample: Sample, tasks_by_model: dict[str, tuple[TuningTask, ...]]
) -> None:
    assert all(len({task.key for task in found}) == len(found) for found in tasks_by_model.values())
    programs: dict[str, Any] = {}
    alike: dict[int, list[str]] = {}
    shared = 0
    for task in (task for found in tasks_by_model.values() for task in found):
        program = _program(task)
        known = programs.setdefault(task.key, program)
        if known is not program:
            shared += 1
            assert tvm_ffi.structural_equal(known, program, map_free_vars=True), task.name
        # As TVM sees it: the same programs hash the same, whatever their variables are called.
        hashed = tvm_ffi.structural_hash(program, map_free_vars=True)
        if task.key not in alike.setdefault(hashed, []):
            alike[hashed].append(task.key)
    assert len(programs) > sample.programs
    assert shared > sample.shared
    assert [keys for keys in alike.values() if len(keys) > 1] == []


def test_keys_are_the_same_in_a_fresh_process_and_after_a_round_trip(
    tasks_by_model: dict[str, tuple[TuningTask, ...]], seeded_weights: ModuleType, tmp_path: Path
) -> None:
    tasks = [task for found in tasks_by_model.values() for task in found]
    (tmp_path / "texts.json").write_text(json.dumps([task.workload.module for task in tasks]))
    model = seeded_weights.light_model("squeezenet")

    done = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path / "texts.json", model],
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    from_texts, from_model = json.loads(done.stdout)
    assert from_texts == [task.key for task in tasks]
    assert from_model == [task.key for task in tasks_by_model["squeezenet"]]


def _program(task: TuningTask) -> tvm.tirx.PrimFunc:
    """The operator without its attributes, of which some say only how it was made."""
    func = normalize(load(task.workload.module))["main"]
    free = {"layout_free_buffers": func.attrs.get("layout_free_buffers", [])}
    return tvm.tirx.PrimFunc(
        func.params, func.body, func.ret_type, attrs=tvm.ir.make_node("ir.DictAttrs", **free)
    )
