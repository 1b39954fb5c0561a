"""A referee between programs of one operator: measured in turns, whoever made them."""

from __future__ import annotations

import math
import statistics

from tvm import s_tir

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device
from autotune.runners.local_runner import LocalRunner
from autotune.runners.steady_runner import SteadyRunner
from search_spaces import Candidate, Config, TuningTask
from search_spaces.tensor_ir.modules import load
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Timing

#: Programs of which no turn was within so much of the best get no more after the first turns. A moment in which the
#: machine is slow makes programs twice as slow.
_OUT = 4.0
_FIRST_TURNS = 2


class Referee:
    """Builds every program once, runs all of them once a turn in a rotating order, and takes medians."""

    def __init__(self, task: TuningTask, device: Device) -> None:
        self._task = task
        self._device = device
        self._space = TensorIRSpace(task)
        self._configs: dict[str, Config] = {}
        self._candidates: dict[Config, Candidate] = {}

    def add_config(self, name: str, config: Config) -> None:
        """A program of our search space; names may share one."""
        self._configs[name] = config
        self._candidates.setdefault(config, self._space.apply(config))

    def add_module(self, name: str, module: str | None) -> None:
        """A program as text, None where a side found none."""
        config = Config((("program", name),))
        self._configs[name] = config
        if module is not None:
            self._candidates[config] = Candidate(self._task, config, s_tir.Schedule(load(module)))

    def measure(self, turns: int) -> dict[str, float]:
        """The median of each program's turns in seconds, by name; infinite where it is missing, or wrong."""
        taken: dict[Config, list[float]] = {}
        with LocalBuilder() as builder, LocalRunner(self._device) as opened:
            runner = SteadyRunner(opened)
            default, *built = builder.build(
                [self._space.apply(self._space.default), *self._candidates.values()]
            )
            artifacts = [one for one in built if isinstance(one, Artifact)]
            if isinstance(default, Artifact):
                runner.run([default])
            for turn in range(turns):
                place = turn % max(len(artifacts), 1)
                order = artifacts[place:] + artifacts[:place]
                for artifact, outcome in zip(order, runner.run(order), strict=True):
                    timing = outcome.measurement
                    secs = timing.secs if isinstance(timing, Timing) else math.inf
                    taken.setdefault(artifact.config, []).append(secs)
                if turn + 1 >= _FIRST_TURNS:
                    best = {key: min(secs) for key, secs in taken.items()}
                    limit = _OUT * min(best.values(), default=math.inf)
                    artifacts = [one for one in artifacts if best[one.config] <= limit]
        return {
            name: statistics.median(taken.get(config, [math.inf])) for name, config in self._configs.items()
        }
