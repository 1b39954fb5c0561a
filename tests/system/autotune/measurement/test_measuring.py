"""Candidates are compiled as they will be deployed, checked against the untuned program, and timed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tvm
from tvm import relax, te
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule import relax_integration
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.artifact import Artifact, discard
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.local_runner import LocalRunner
from autotune.runners.runner import Outcome, TrialLimits
from autotune.workers.fork_server import ForkServer
from search_spaces.config import UNTOUCHED, Config, baseline_config
from search_spaces.errors import AutotuneError, IllegalSchedule
from search_spaces.space import Candidate
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Failure, FailureKind, Timing

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def device() -> Device:
    return local_device()


@pytest.fixture(scope="module")
def builder(kernels: ForkServer) -> Iterator[LocalBuilder]:
    with LocalBuilder(server=kernels) as builder:
        yield builder


@pytest.fixture
def runner(device: Device, kernels: ForkServer) -> Iterator[LocalRunner]:
    with LocalRunner(device, server=kernels) as runner:
        yield runner


@pytest.fixture(scope="module")
def matmul(device: Device) -> TensorIRSpace:
    func = te.create_prim_func(te_workload.matmul(64, 64, 64))
    return TensorIRSpace(TuningTask(modules.workload(func, "matmul"), device.target))


@pytest.fixture(scope="module")
def convolution(device: Device) -> TensorIRSpace:
    """A convolution whose weights are constants, as it comes out of a model."""

    x = relax.Var("x", relax.TensorType([1, 16, 16, 16], "float32"))
    w = relax.Var("w", relax.TensorType([32, 16, 3, 3], "float32"))
    model = relax.BlockBuilder()
    with model.function("main", [x, w], attrs={"num_input": 1}):
        with model.dataflow():
            y = model.emit(relax.op.nn.conv2d(x, w, padding=1))
            z = model.emit_output(relax.op.nn.relu(y))
        model.emit_func_output(z)
    passes = [
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.AttachAttrLayoutFreeBuffers(),
    ]
    with modules.tvm_target(device.target):
        module = tvm.transform.Sequential(passes)(model.get())
    [task] = relax_integration.extract_tasks(module, modules.tvm_target(device.target))
    return TensorIRSpace(TuningTask(modules.workload(task.dispatched[0], "convolution"), device.target))


def candidates(space: TensorIRSpace, count: int, wanted: Callable[[Candidate], bool]) -> list[Candidate]:
    """The default, then legal candidates of the wanted sort."""
    rng = random.Random(0)
    found = [space.apply(space.default)]
    while len(found) <= count:
        try:
            candidate = space.apply(lambda decision: rng.randrange(len(decision.choices)))
        except IllegalSchedule:
            continue
        if wanted(candidate):
            found.append(candidate)
    return found


def tuned(candidate: Candidate) -> bool:
    return candidate.config != baseline_config(candidate.task.target)


def measure(builder: LocalBuilder, runner: LocalRunner, chosen: list[Candidate]) -> list[Outcome]:
    artifacts = builder.build(chosen)
    assert all(isinstance(artifact, Artifact) for artifact in artifacts), artifacts
    return runner.run([artifact for artifact in artifacts if isinstance(artifact, Artifact)])


def impostor(task: TuningTask, func: tvm.tirx.PrimFunc) -> Candidate:
    """A candidate of the task whose program is another."""
    schedule = Schedule(modules.normalize(func))
    return Candidate(task, Config((("sketch", "impostor"),)), schedule)


def test_what_takes_the_compiler_long_is_left_while_others_are_measured(
    runner: LocalRunner, matmul: TensorIRSpace, tmp_path: Path
) -> None:
    slow, linker = tmp_path / "slow", tmp_path / "linker"
    linker.write_text(f'#!/bin/sh\nif rm {slow}; then sleep 2; fi\nexec cc "$@"\n')
    linker.chmod(0o755)
    chosen = candidates(matmul, 4, tuned)
    with LocalBuilder(2, linker=str(linker)) as builder:
        measure(builder, runner, chosen[:1])
        slow.touch()
        built = builder.build_most(chosen[1:])
        assert sorted(type(one).__name__ for one in built) == ["Artifact", "Artifact", "Artifact", "NoneType"]
        outcomes = runner.run([one for one in built if isinstance(one, Artifact)])
        late = chosen[1:][built.index(None)]
        [artifact] = builder.build_most([late])
        assert isinstance(artifact, Artifact)
        assert artifact.config == late.config
        outcomes += runner.run([artifact])
    assert all(isinstance(outcome.measurement, Timing) for outcome in outcomes)


def test_candidates_of_a_matmul_are_right_and_timed(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    reference, *others = measure(builder, runner, candidates(matmul, 5, tuned))
    assert isinstance(reference.measurement, Timing)
    assert reference.check is None
    for outcome in others:
        assert isinstance(outcome.measurement, Timing)
        assert outcome.measurement.secs > 0
        assert outcome.measurement.build_secs > 0
        assert outcome.check is not None
        assert outcome.check.max_rel_error < 1e-5


def test_constant_weights_are_prepacked_outside_the_timed_kernel(
    builder: LocalBuilder, runner: LocalRunner, convolution: TensorIRSpace
) -> None:
    chosen = candidates(convolution, 6, tuned)
    artifacts = [artifact for artifact in builder.build(chosen) if isinstance(artifact, Artifact)]
    assert len(artifacts) == len(chosen)
    assert not artifacts[0].prepacked
    rewritten = [artifact for artifact in artifacts if artifact.prepacked]
    assert rewritten
    weights = next(spec for spec in artifacts[0].signature if spec.is_layout_free)
    for artifact in rewritten:
        assert all(artifact.signature[weight.parameter] == weights for weight in artifact.prepacked)
        assert tvm.runtime.load_module(str(artifact.library)).implements_function("main_prepacked")
    for outcome in runner.run(artifacts)[1:]:
        assert isinstance(outcome.measurement, Timing)
        assert outcome.check is not None
        assert outcome.check.max_rel_error < 1e-4


def test_a_candidate_far_behind_the_best_is_censored_not_failed(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    chosen = candidates(matmul, 1, tuned)
    measure(builder, runner, chosen)
    [artifact] = builder.build(chosen[1:])
    assert isinstance(artifact, Artifact)
    [outcome] = runner.run([artifact], best_secs=1e-9)
    assert isinstance(outcome.measurement, Timing)
    assert outcome.measurement.censored
    assert outcome.check is not None


def test_a_schedule_that_drops_its_last_tile_is_a_wrong_result(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    left, right, product = te_workload.matmul(64, 64, 64)
    schedule = Schedule(modules.normalize(te.create_prim_func([left, right, product])))
    text = schedule.mod["main"].script()
    shortened = text.replace("T.grid(64, 64, 64)", "T.grid(56, 64, 64)")
    assert shortened != text
    wrong = impostor(matmul.task, tvm.script.from_source(shortened))
    outcomes = measure(builder, runner, [matmul.apply(matmul.default), wrong])
    failure = outcomes[1].measurement
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.WRONG_RESULT
    assert failure.message == "512 of 4096 output elements were never written"


def test_a_slightly_wrong_sum_is_a_wrong_result(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    text = matmul.apply(UNTOUCHED).schedule.mod["main"].script()
    shortened = text.replace("T.grid(64, 64, 64)", "T.grid(64, 64, 63)")
    assert shortened != text
    outcomes = measure(
        builder,
        runner,
        [matmul.apply(matmul.default), impostor(matmul.task, tvm.script.from_source(shortened))],
    )
    failure = outcomes[1].measurement
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.WRONG_RESULT
    assert "off by more than" in failure.message
    assert outcomes[1].check is not None
    assert outcomes[1].check.max_rel_error > 1e-2


def test_an_operator_that_makes_nan_of_negative_inputs_is_checked_on_positive_ones(
    device: Device, builder: LocalBuilder, runner: LocalRunner
) -> None:
    x = te.placeholder((64,), name="x")
    root = te.create_prim_func([x, te.compute((64,), lambda i: te.sqrt(x[i]), name="root")])
    zero = te.create_prim_func([x, te.compute((64,), lambda i: te.sqrt(x[i]) * 0.0, name="root")])
    space = TensorIRSpace(TuningTask(modules.workload(root, "sqrt"), device.target))
    outcomes = measure(builder, runner, [space.apply(space.default), impostor(space.task, zero)])
    failure = outcomes[1].measurement
    assert isinstance(failure, Failure)
    assert failure.message.startswith("64 of 64 output elements are off")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int64", "bool"])
def test_other_dtypes_are_measured_and_checked(
    dtype: str, device: Device, builder: LocalBuilder, runner: LocalRunner
) -> None:
    x = te.placeholder((8, 8), dtype, name="x")
    func = te.create_prim_func([x, te.compute((8, 8), lambda i, j: x[j, i], name="transposed")])
    space = TensorIRSpace(TuningTask(modules.workload(func, f"transpose-{dtype}"), device.target))
    same = te.create_prim_func([x, te.compute((8, 8), lambda i, j: x[i, j], name="copied")])
    reference, right, wrong = measure(
        builder,
        runner,
        [space.apply(space.default), *candidates(space, 1, tuned)[1:], impostor(space.task, same)],
    )
    assert isinstance(reference.measurement, Timing)
    assert isinstance(right.measurement, Timing)
    assert isinstance(wrong.measurement, Failure)
    assert wrong.measurement.kind is FailureKind.WRONG_RESULT


def test_naive_loops_and_the_default_schedule_compute_the_same(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    default, naive = measure(builder, runner, [matmul.apply(matmul.default), matmul.apply(UNTOUCHED)])
    assert isinstance(default.measurement, Timing)
    assert default.check is None, "the default schedule is the reference"
    assert isinstance(naive.measurement, Timing)
    assert naive.check is not None


def test_a_candidate_is_not_measured_before_the_default(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    artifacts = builder.build(candidates(matmul, 1, tuned)[1:])
    with pytest.raises(AutotuneError, match="measure the default first"):
        runner.run([artifact for artifact in artifacts if isinstance(artifact, Artifact)])


def test_candidates_are_not_trusted_when_the_untuned_program_cannot_run(
    device: Device, builder: LocalBuilder
) -> None:
    func = te.create_prim_func(te_workload.matmul(2048, 2048, 2048))
    slow = TensorIRSpace(TuningTask(modules.workload(func, "slow"), device.target))
    with LocalRunner(device, limits=TrialLimits(reference_timeout_secs=1e-3)) as runner:
        outcomes = measure(builder, runner, candidates(slow, 1, tuned))
    kinds = [outcome.measurement.kind for outcome in outcomes if isinstance(outcome.measurement, Failure)]
    assert kinds == [FailureKind.RUN_TIMEOUT, FailureKind.RUN_TIMEOUT]
    assert "cannot be checked" in outcomes[1].measurement.message


def test_a_time_that_no_processor_can_reach_is_refused(
    device: Device, builder: LocalBuilder, runner: LocalRunner
) -> None:
    x = te.placeholder((16,), name="x")
    func = te.create_prim_func([x, te.compute((16,), lambda i: x[i] + 1.0, name="y")])
    honest = modules.workload(func, "add")
    boast = type(honest)(honest.key, honest.name, honest.module, flops=1e15)
    space = TensorIRSpace(TuningTask(boast, device.target))
    [outcome] = measure(builder, runner, [space.apply(space.default)])
    assert isinstance(outcome.measurement, Failure)
    assert outcome.measurement.message.startswith("implausible")


def test_libraries_live_until_they_are_discarded(
    builder: LocalBuilder, runner: LocalRunner, matmul: TensorIRSpace
) -> None:
    artifacts = [a for a in builder.build([matmul.apply(matmul.default)]) if isinstance(a, Artifact)]
    [library] = [one.library for one in artifacts]
    runner.run(artifacts)
    runner.run(artifacts)
    before = set(library.parent.iterdir())
    assert library in before
    discard(artifacts)
    assert set(library.parent.iterdir()) == before - {library}
    assert not list(library.parent.glob(f"{library.stem}.*"))


def test_a_flushed_cache_still_gives_a_timing(
    device: Device, builder: LocalBuilder, matmul: TensorIRSpace
) -> None:
    with LocalRunner(device, Stopwatch(flush_bytes=1 << 20)) as runner:
        [outcome] = measure(builder, runner, [matmul.apply(matmul.default)])
    assert isinstance(outcome.measurement, Timing)


def test_a_missing_linker_is_named() -> None:
    with pytest.raises(AutotuneError, match="no 'no-such-cc' on the PATH"):
        LocalBuilder(linker="no-such-cc")
