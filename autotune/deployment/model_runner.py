"""Runners of whole models: on this machine, or on a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from autotune.deployment.board_model import BoardModelRunner
from autotune.deployment.executable import SavedModel
from autotune.deployment.referee import Referee
from autotune.deployment.side_by_side import (
    EngineLatency,
    ModelComparison,
    TimingSettings,
    measure,
    side_by_side,
)
from autotune.devices.connection import Rpc
from autotune.devices.device import Device
from autotune.models.onnx_file import InputSpec
from search_spaces.errors import AutotuneError

#: Of the first draw of a model's inputs.
SEED = 0


class ModelRunner(Protocol):
    """Runs saved builds of a model on seeded inputs. All methods raise AutotuneError where a build does not run."""

    def measure(
        self, build: SavedModel, inputs: tuple[InputSpec, ...], rounds: int, round_secs: float
    ) -> EngineLatency:
        """Times one build in so many turns."""
        ...

    def side_by_side(
        self,
        builds: Sequence[SavedModel],
        inputs: tuple[InputSpec, ...],
        rounds: int,
        referee: Referee | None,
        spare_secs: Callable[[], float],
    ) -> ModelComparison:
        """Times builds in turns and judges the first one's outputs; see `autotune.deployment.side_by_side`."""
        ...


@dataclass(frozen=True, slots=True)
class LocalModelRunner:
    """Runs every build in a process of its own, on so many threads."""

    threads: int

    def measure(
        self, build: SavedModel, inputs: tuple[InputSpec, ...], rounds: int, round_secs: float
    ) -> EngineLatency:
        """See `ModelRunner`."""
        return measure(build, TimingSettings(inputs, self.threads, rounds, round_secs, SEED))

    def side_by_side(
        self,
        builds: Sequence[SavedModel],
        inputs: tuple[InputSpec, ...],
        rounds: int,
        referee: Referee | None,
        spare_secs: Callable[[], float],
    ) -> ModelComparison:
        """See `ModelRunner`."""
        settings = TimingSettings(inputs, self.threads, rounds, seed=SEED)
        return side_by_side(builds, settings, referee, spare_secs)


def model_runner(device: Device) -> ModelRunner:
    """The runner of a device's models. Raises AutotuneError for the GPU of a board, where only kernels are run."""
    via = device.via
    if not isinstance(via, Rpc):
        return LocalModelRunner(device.threads)
    if device.target.is_gpu:
        raise AutotuneError("expected a processor to run whole models on, found a board's GPU", code="AT708")
    return BoardModelRunner(via, SEED)
