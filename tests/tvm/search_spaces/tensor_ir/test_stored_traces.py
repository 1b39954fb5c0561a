"""A record outlives its search space: the trace stored with it still builds the very program that was measured."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm_ffi
from product_network import network

from autotune.deployment.compilation import compile
from autotune.deployment.coverage import Status
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces.config import Config
from search_spaces.decision import Decision
from search_spaces.errors import IllegalSchedule
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.sketch import Sketch
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.trace_text import pack, unpack
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord
from tuning_logs.selection.schedule_choice import Cause, Origin, ScheduleChooser

HERE = DeviceFingerprint("here", {"threads": 2})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")
ELSEWHEN = "tensor-ir-1/tvm-0.99"
GPU = Target("nvidia/nvidia-a100")


def drawn(space: TensorIRSpace, sketch: Sketch, seed: int = 0, tries: int = 200) -> Candidate | None:
    """A random candidate of a sketch, None where none is found that is legal."""
    rng = np.random.default_rng(seed)

    def choose(decision: Decision) -> int:
        if decision.name == "sketch":
            return decision.choices.index(sketch.name)
        return int(rng.integers(len(decision.choices)))

    for _ in range(tries):
        try:
            return space.apply(choose)
        except IllegalSchedule:
            continue
    return None


def renamed(config: Config) -> Config:
    """The config as another version would have it, where its sketch is the hundredth."""
    sketch = str(config.by_name["sketch"])
    return Config(
        tuple(
            (name.replace(f"{sketch}/", "sketch-99/"), "sketch-99" if name == "sketch" else answer)
            for name, answer in config.answers
        )
    )


def same(one: Candidate, other: Candidate) -> bool:
    return bool(tvm_ffi.structural_equal(one.schedule.mod, other.schedule.mod))


@pytest.mark.parametrize("name", ["matmul:32,48,64", "conv2d_nhwc:1,8,8,8,16,3,1,1", "softmax:64,100"])
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_every_sketch_is_rebuilt_from_its_text(name: str, kind: str, target: Target) -> None:
    space = TensorIRSpace(operator_task(name, target if kind == "cpu" else GPU))
    replayed = 0
    for sketch in space.sketches:
        candidate = drawn(space, sketch)
        if candidate is None:
            continue
        assert candidate.trace == sketch.text
        again = space.replay(renamed(candidate.config), candidate.trace)
        assert same(again, candidate)
        assert again.config == renamed(candidate.config)
        replayed += 1
    assert replayed >= 2


def test_the_text_is_one_per_sketch_and_the_same_in_every_process(target: Target) -> None:
    task = operator_task("conv2d_nhwc:1,8,8,8,16,3,1,1", target)
    texts = [sketch.text for sketch in TensorIRSpace(task).sketches]
    assert len(set(texts)) == len(texts)
    assert [sketch.text for sketch in TensorIRSpace(task).sketches] == texts
    assert max(map(len, texts)) < 2000
    space = TensorIRSpace(task)
    assert space.apply(space.default).trace is None


@pytest.fixture
def task(target: Target) -> TuningTask:
    [found] = extract_tasks(network(), target)
    return found


@pytest.fixture
def candidate(task: TuningTask) -> Candidate:
    space = TensorIRSpace(task)
    found = drawn(space, space.sketches[1])
    assert found is not None
    return found


def record_of(candidate: Candidate, version: str = ELSEWHEN, **changed: Any) -> TuningRecord:
    provenance = Provenance(JOB, 0, JOB.started)
    timing = Timing((0.001, 0.0011), 0.1)
    made = TuningRecord(
        candidate.task, HERE, version, renamed(candidate.config), timing, None, provenance, candidate.trace
    )
    return replace(made, **changed)


def log_of(*records: TuningRecord) -> TuningLog:
    log = TuningLog.in_memory()
    log.append(records)
    return log


def current(task: TuningTask) -> str:
    return TensorIRSpace(task).version


@pytest.mark.parametrize("version", [lambda task: ELSEWHEN, current], ids=["other space", "unknown sketch"])
def test_a_record_of_a_sketch_that_is_no_more_builds_the_same_program(
    version: Callable[[TuningTask], str], candidate: Candidate, task: TuningTask, target: Target
) -> None:
    named = version(task)
    log = log_of(record_of(candidate, named))

    choice = ScheduleChooser(log, HERE).choose(task)
    build = compile(network(), target, log, HERE)

    assert choice.candidate is not None
    assert choice.origin is Origin.STORED_TRACE
    assert same(choice.candidate, candidate)
    [row] = build.coverage.rows
    assert (row.status, row.source, row.cause) == (Status.TUNED, f"trace stored with {named}", None)
    assert row.tuned_secs == pytest.approx(0.00105)
    x, w = (np.random.default_rng(0).standard_normal(shape, np.float32) for shape in ((32, 64), (64, 48)))
    np.testing.assert_allclose(build(x, w), np.maximum(x @ w, 0), rtol=1e-3, atol=1e-3)


def test_a_record_that_its_space_replays_needs_no_trace(candidate: Candidate, task: TuningTask) -> None:
    log = log_of(record_of(candidate, current(task), config=candidate.config, trace="damaged"))
    choice = ScheduleChooser(log, HERE).choose(task)
    assert choice.origin is Origin.OWN
    assert choice.candidate is not None
    assert same(choice.candidate, candidate)


def test_a_record_of_another_space_within_noise_of_the_default_is_not_used(
    candidate: Candidate, task: TuningTask
) -> None:
    default = TensorIRSpace(task).default
    log = log_of(
        record_of(candidate),
        record_of(candidate, config=default, trace=None, measurement=Timing((0.00101, 0.00111), 0.1)),
    )
    choice = ScheduleChooser(log, HERE).choose(task)
    assert choice.record is not None
    assert choice.record.config == default
    assert choice.miss is None


@pytest.mark.parametrize(
    ("trace", "cause", "says"),
    [(None, Cause.SCHEMA, "tune again"), ("damaged", Cause.REPLAY, f"{ELSEWHEN}, this is .*cannot be read")],
)
def test_without_a_trace_that_can_be_read_the_operator_is_a_miss(
    trace: str | None, cause: Cause, says: str, candidate: Candidate, task: TuningTask
) -> None:
    choice = ScheduleChooser(log_of(record_of(candidate, trace=trace)), HERE).choose(task)
    assert choice.record is None
    assert choice.miss is not None
    assert choice.miss.cause is cause
    assert re.search(says, choice.miss.reason)


@pytest.mark.parametrize("trace", [None, "damaged"])
def test_a_best_that_cannot_be_rebuilt_gives_way_to_the_next(
    trace: str | None, candidate: Candidate, task: TuningTask
) -> None:
    lost = record_of(candidate, trace=trace)
    slower = record_of(
        candidate, current(task), config=candidate.config, measurement=Timing((0.002, 0.0021), 0.1)
    )
    choice = ScheduleChooser(log_of(slower, lost), HERE).choose(task)
    assert choice.record == slower
    assert choice.candidate is not None
    assert same(choice.candidate, candidate)


@pytest.mark.parametrize(
    "answers",
    [
        {"tile-9": (1, 1)},
        {"tile-0": (0, 1, 1, 1)},
        {"tile-0": (1, 0, 32, 1)},
        {"tile-0": (-1, -1, 1, 1)},
        {"tile-0": (3, 1, 1, 7)},
        {"tile-0": 5},
        {"tile-0": "wide"},
        {"unroll-0": 17},
        {"unroll-0": (1, 1)},
    ],
)
def test_a_config_that_is_not_of_the_trace_is_illegal(
    answers: dict[str, Any], candidate: Candidate, task: TuningTask
) -> None:
    assert candidate.trace is not None
    forged = Config(tuple({**candidate.config.by_name, **answers}.items()))
    with pytest.raises(IllegalSchedule):
        TensorIRSpace(task).replay(forged, candidate.trace)


def first(trace: Any, kind: str) -> int:
    return [instruction[0] for instruction in trace[0]].index(kind)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


# Each takes the JSON value of a true trace, and makes it what TVM must not be given.
FORGERIES: dict[str, Callable[[Any], Any]] = {
    "decision behind the end": lambda trace: trace[1].append([10**6, 0]),
    "decision before the start": lambda trace: trace[1].append([-1, 0]),
    "decision of what samples nothing": lambda trace: trace[1].append([0, 0]),
    "decision that is missing": lambda trace: trace[1].pop(),
    "tile of nothing": lambda trace: trace[1][0].__setitem__(1, [1, 0, 1, 1]),
    "tile as number": lambda trace: trace[1][0].__setitem__(1, 3),
    "number of tiles": lambda trace: trace[1][-1].__setitem__(1, [1, 1]),
    "unknown kind": lambda trace: trace[0].insert(0, ["Explode", [], [], []]),
    "kind that sketches lack": lambda trace: trace[0].append(["UnsafeSetDType", ["b0", 0], ["int8"], []]),
    "kind that finishes": lambda trace: trace[0].append(["EnterPostproc", [], [], []]),
    "code as annotation": lambda trace: trace[0].append(
        ["Annotate", ["b0", '"int x;"'], ["pragma_import_c"], []]
    ),
    "annotation without name": lambda trace: trace[0].append(["Annotate", ["b0", 1], [], []]),
    "annotation of a list": lambda trace: trace[0].append(["Annotate", ["b0", 1], [["meta_schedule.x"]], []]),
    "object as input": lambda trace: trace[0].append(["Annotate", ["b0", "{}"], ["meta_schedule.x"], []]),
    "deep input": lambda trace: trace[0].append(["Annotate", ["b0", nested(500)], ["meta_schedule.x"], []]),
    "undefined variable": lambda trace: trace[0].append(["ComputeInline", ["b77"], [], []]),
    "loop as block": lambda trace: trace[0].append(["ComputeInline", ["l2"], [], []]),
    "too few attributes": lambda trace: trace[0][first(trace, "SamplePerfectTile")].__setitem__(2, []),
    "too many outputs": lambda trace: trace[0][first(trace, "GetLoops")][3].extend(["l90", "l91"]),
    "huge number": lambda trace: trace[0][first(trace, "SamplePerfectTile")].__setitem__(2, [10**30, 64]),
    "fifth part": lambda trace: trace[0][0].append([]),
    "third list": lambda trace: trace.append([]),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_trace_is_illegal_and_nothing_worse(
    forge: Callable[[Any], Any], candidate: Candidate, task: TuningTask
) -> None:
    assert candidate.trace is not None
    packed = base64.b64decode(candidate.trace.removeprefix("zlib64:"))
    trace = json.loads(zlib.decompress(packed))
    forge(trace)
    with pytest.raises(IllegalSchedule):
        TensorIRSpace(task).replay(candidate.config, pack(trace))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[],[]]",
        "zlib64:",
        "zlib64:größer",
        "zlib64:" + base64.b64encode(b"no stream").decode(),
        "zlib64:" + base64.b64encode(zlib.compress(b" " * (64 << 20), 9)).decode(),
        "zlib64:" + base64.b64encode(zlib.compress(b"[" * 500_000)).decode(),
        "zlib64:" + base64.b64encode(zlib.compress(b"\xff")).decode(),
        pack({}),
        pack(None),
    ],
)
def test_a_damaged_text_is_illegal(text: str) -> None:
    with pytest.raises(IllegalSchedule, match="its stored trace cannot be read"):
        unpack(text)
