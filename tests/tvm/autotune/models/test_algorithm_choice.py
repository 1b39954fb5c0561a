"""The records of a log decide between a convolution's direct and transformed forms."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.models.algorithm_choice import lower_by_log, other_forms
from autotune.models.model import Model, load_model
from autotune.models.task_extraction import calls, extract_tasks
from search_spaces.config import baseline_config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord

HERE = DeviceFingerprint("here", {"cpu_model": "this one", "threads": 2})
ELSEWHERE = DeviceFingerprint("elsewhere", {"cpu_model": "another", "threads": 2})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")


@pytest.fixture(scope="module", params=[(28, 28), (4, 28, 28)], ids=["images", "volumes"])
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Model:
    """Two convolutions of width 3, of 32 and 64 filters, on an image of 28 × 28 or four planes of that."""
    rng, sizes = np.random.default_rng(0), request.param
    weights = [
        numpy_helper.from_array(rng.standard_normal((made, 32, *[3] * len(sizes))).astype(np.float32), name)
        for name, made in {"k1": 32, "k2": 64}.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["c"], pads=[1, 1] * len(sizes)),
        helper.make_node("Conv", ["c", "k2"], ["y"], pads=[1, 1] * len(sizes)),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, *sizes])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "convolutions", [x], [y], weights)
    path = tmp_path_factory.mktemp("model") / "convolutions.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load_model(path)


def record(task: TuningTask, secs: float, device: DeviceFingerprint = HERE) -> TuningRecord:
    provenance = Provenance(JOB, 0, "2026-01-01T00:00:00Z")
    config = baseline_config(task.target)
    return TuningRecord(task, device, "1", config, Timing((secs,), 0.1), None, provenance)


def forms(model: Model, target: Target, log: TuningLog, device: DeviceFingerprint = HERE) -> list[bool]:
    """For each convolution, whether it is transformed."""
    names = [name for name, _ in calls(lower_by_log(model, target, log, device))]
    return ["winograd" in name for name in names if "winograd_output" in name or "conv" in name]


def test_without_records_the_expectation_decides(model: Model, target: Target) -> None:
    assert forms(model, target, TuningLog.in_memory()) == [True, True]


def test_the_other_forms_are_measured_and_not_called(model: Model, target: Target) -> None:
    called, others = extract_tasks(model, target), other_forms(model, target)

    assert [task.weight for task in others] == [0] * len(others)
    assert others
    assert all("conv" in task.name for task in others)
    assert not {task.key for task in others} & {task.key for task in called}


def test_a_log_of_direct_convolutions_goes_on_to_apply(model: Model, target: Target) -> None:
    log = TuningLog.in_memory()
    log.append([record(task, 0.001) for task in other_forms(model, target)])

    assert forms(model, target, log) == [False, False]
    assert forms(model, target, log, ELSEWHERE) == [True, True], "records of another device do not count"


@pytest.mark.parametrize("direct_secs", [0.001, 0.1])
def test_the_faster_form_by_records_is_taken(model: Model, target: Target, direct_secs: float) -> None:
    log = TuningLog.in_memory()
    log.append([record(task, 0.01) for task in extract_tasks(model, target)])
    log.append([record(task, direct_secs) for task in other_forms(model, target)])

    assert forms(model, target, log) == [direct_secs == 0.1] * 2


def test_each_shape_has_a_choice_of_its_own(model: Model, target: Target) -> None:
    first, second = other_forms(model, target)
    log = TuningLog.in_memory()
    log.append([record(task, 0.01) for task in extract_tasks(model, target)])
    log.append([record(first, 0.001), record(second, 0.1)])

    assert forms(model, target, log) == [False, True]
