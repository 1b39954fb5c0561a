"""Drift while measuring: what was measured on a slow machine is measured anew, or counted as in doubt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tvm import te

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import local_device
from autotune.runners.drift import DriftMonitor
from autotune.runners.local_runner import LocalRunner
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Timing

pytestmark = pytest.mark.alone


class Thermometer(DriftMonitor):
    """A pace that is told what the pulses were, instead of what they are."""

    def __init__(self, slowdowns: list[float]) -> None:
        super().__init__()
        self.slowdowns = iter(slowdowns)
        self.pulses = 0

    def take(self, pulse_secs: float) -> bool:
        assert pulse_secs > 0
        self.pulses += 1
        return super().take(1e-3 * next(self.slowdowns))


@pytest.fixture
def artifacts() -> Iterator[list[Artifact]]:
    device = local_device()
    func = te.create_prim_func(
        [x := te.placeholder((16,), name="x"), te.compute((16,), lambda i: x[i] + 1.0)]
    )
    space = TensorIRSpace(TuningTask(modules.workload(func, "add-one"), device.target))
    with LocalBuilder(workers=1) as builder:
        built = builder.build([space.apply(space.default)] * 3)
        yield [one for one in built if isinstance(one, Artifact)]


def run(drift: DriftMonitor, artifacts: list[Artifact]) -> int:
    """How many of the outcomes are timings."""
    with LocalRunner(local_device(), drift=drift) as runner:
        runner._started -= 1000.0  # a runner of long standing may wait for a while
        outcomes = runner.run(artifacts)
    return sum(isinstance(outcome.measurement, Timing) for outcome in outcomes)


def test_a_steady_machine_is_asked_before_and_after(artifacts: list[Artifact]) -> None:
    drift = Thermometer([1.0, 1.02])
    assert run(drift, artifacts) == 3
    assert (drift.pulses, drift.repeated, len(drift.unsteady)) == (2, 0, 0)


def test_what_a_passing_lapse_touched_is_measured_anew(artifacts: list[Artifact]) -> None:
    drift = Thermometer([1.0, 1.7, 1.0, 1.0])
    assert run(drift, artifacts) == 3
    assert (drift.pulses, drift.repeated, len(drift.unsteady)) == (4, 3, 0)


def test_a_hog_that_stays_is_reported_and_measuring_goes_on(artifacts: list[Artifact]) -> None:
    drift = Thermometer([1.0, 1.7, 1.7, 1.7])
    assert run(drift, artifacts) == 3
    assert (drift.pulses, drift.repeated, len(drift.unsteady)) == (4, 0, 1)
    assert set(drift.unsteady.values()) == {1.7}
    assert drift.warning is not None


def test_a_hog_that_is_known_is_not_waited_for_again(artifacts: list[Artifact]) -> None:
    drift = Thermometer([1.0, 1.7, 1.7])
    drift.take(1.0)
    drift.take(1.0)
    assert run(drift, artifacts) == 3
    assert (drift.pulses, len(drift.unsteady)) == (3, 1)
