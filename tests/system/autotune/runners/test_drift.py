"""Drift while measuring: a group of trials has the slowdown that the reference kernel told after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tvm import te

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import local_device
from autotune.runners.drift import DriftMonitor
from autotune.runners.local_runner import LocalRunner
from autotune.workers.fork_server import ForkServer
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Timing

pytestmark = pytest.mark.alone


class Thermometer(DriftMonitor):
    """A monitor that is told what the times of the reference kernel were, instead of what they are."""

    def __init__(self, slowdowns: list[float]) -> None:
        super().__init__()
        self.slowdowns = slowdowns

    def observe(self, reference_secs: float) -> float:
        assert reference_secs > 0
        return super().observe(1e-3 * self.slowdowns.pop(0))


@pytest.fixture
def artifacts(kernels: ForkServer) -> Iterator[list[Artifact]]:
    device = local_device()
    func = te.create_prim_func(
        [x := te.placeholder((16,), name="x"), te.compute((16,), lambda i: x[i] + 1.0)]
    )
    space = TensorIRSpace(TuningTask(modules.workload(func, "add-one"), device.target))
    with LocalBuilder(workers=1, server=kernels) as builder:
        yield [one for one in builder.build([space.apply(space.default)]) if isinstance(one, Artifact)]


def test_every_eight_trials_share_a_slowdown_and_none_is_repeated(
    artifacts: list[Artifact], kernels: ForkServer
) -> None:
    with LocalRunner(local_device(), server=kernels) as runner:
        runner._drift = drift = Thermometer([1.0, 1.02, 1.7, 1.0])
        first = runner.run(artifacts * 10)
        second = runner.run(artifacts)
    assert [one.slowdown for one in first] == [1.02] * 8 + [pytest.approx(1.7 / 1.01)] * 2
    assert [one.slowdown for one in second] == [pytest.approx(1.0 / 1.01)]
    assert all(isinstance(one.measurement, Timing) for one in first + second)
    assert drift.slowdowns == []
