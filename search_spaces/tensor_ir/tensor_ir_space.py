"""The search space of one operator: TVM's sketches for the target, and a baseline beside them (imports TVM)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import tvm
from tvm import s_tir

from search_spaces.config import UNTOUCHED, Config, baseline_config
from search_spaces.decision import Answer, Choose, Decision
from search_spaces.errors import IllegalSchedule, last_line
from search_spaces.space import Candidate
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.default_schedule import scheduled_by_default
from search_spaces.tensor_ir.design_space import design_space, scheduling_target
from search_spaces.tensor_ir.fresh_schedule import fresh_schedule
from search_spaces.tensor_ir.mma_schedule import Pipelining
from search_spaces.tensor_ir.register_blocking import RegisterBlocking
from search_spaces.tensor_ir.sketch import Sketch, read_sketches, stored_sketch
from search_spaces.tensor_ir.vector_unit import vector_unit

_SKETCH = "sketch"


class TensorIRSpace:
    """MetaSchedule's design space for a task, as questions.

    The first decision picks a sketch or the default, which is the operator as a build without records has it: on a
    CPU with the default schedule, elsewhere with naive loops. Every sampling instruction of a sketch is one more
    decision (`tile-N`, `unroll-N`, `location-N`, `categorical-N`). `UNTOUCHED` applies on all targets, as logs have it.

    >>> space = TensorIRSpace(task)
    >>> candidate = space.apply(lambda decision: rng.integers(len(decision.choices)))
    >>> space.apply(candidate.config).config == candidate.config
    True
    """

    def __init__(self, task: TuningTask) -> None:
        """Generates the sketches (20–100 ms; up to twice that with uneven rows).

        Raises Misuse where TVM does not know the target.
        """
        self._task = task
        self._module = modules.normalize(modules.load(task.workload.module))
        self._target = scheduling_target(modules.tvm_target(task.target))
        found = design_space(self._module, self._target)
        self._postprocs = found.postprocs
        traces = [(self._module, *each) for each in found.sketches.items()]
        traces += [(found.product, *each) for each in found.tensorized.items()]
        self._sketches = {sketch.name: sketch for sketch in read_sketches(self._module, traces)}
        self._first = Decision(_SKETCH, (self.default.by_name[_SKETCH], *self._sketches))

    @property
    def task(self) -> TuningTask:
        """The operator and the target."""
        return self._task

    @property
    def version(self) -> str:
        """Ours and TVM's: another TVM may generate other sketches."""
        return f"tensor-ir-1/tvm-{tvm.__version__}"

    @property
    def default(self) -> Config:
        """The default schedule on a CPU, the untouched operator elsewhere."""
        return baseline_config(self._task.target)

    @cached_property
    def size(self) -> int:
        """The number of configs, illegal ones and the default included."""
        return 1 + sum(sketch.size for sketch in self._sketches.values())

    @property
    def sketches(self) -> tuple[Sketch, ...]:
        """TVM's sketches, in its order."""
        return tuple(self._sketches.values())

    def answer(self, choose: Choose) -> Config:
        """Asks every question and builds nothing (about 10 µs)."""
        first = self._first.choices[choose(self._first)]
        answers = [(_SKETCH, first)]
        if first in self._sketches:
            for decision in self._sketches[str(first)].asked:
                answers.append((decision.name, decision.choices[choose(decision)]))
        return Config(tuple(answers))

    def heuristic_samples(self, count: int, rng: np.random.Generator) -> list[Config]:
        """Configs that block the results in vector registers; none where no sketch can, and on GPUs."""
        blocked = self._blocked
        if not blocked:
            return []
        names = list(blocked)
        drawn = [names[int(rng.integers(len(names)))] for _ in range(count)]
        return [self.answer(self._blocked_config(name, rng)) for name in drawn]

    @cached_property
    def _blocked(self) -> dict[str, RegisterBlocking]:
        if not modules.is_cpu(self._task.target):
            return {}
        unit = vector_unit(self._target)
        found = {
            name: RegisterBlocking(sketch.decisions, unit, sketch.rows)
            for name, sketch in self._sketches.items()
        }
        return {name: blocking for name, blocking in found.items() if blocking.is_possible}

    def _blocked_config(self, name: str, rng: np.random.Generator) -> Config:
        answers = self._blocked[name].draw(rng)
        return Config(((_SKETCH, name), *answers.items()))

    def apply(self, choose: Choose) -> Candidate:
        """Asks every question and schedules the operator (2–25 ms); schedule is a `tvm.s_tir.Schedule`.

        Raises IllegalSchedule with TVM's reason where the answers cannot be applied, or a postprocessor
        (on GPUs: the check of what the device can hold) turns the result down.
        """
        if choose == UNTOUCHED:
            return Candidate(self._task, UNTOUCHED, fresh_schedule(self._module))
        config = self.answer(choose)
        if config == self.default:
            schedule = fresh_schedule(self._module)
            done = scheduled_by_default(schedule, self._target)
            return Candidate(self._task, config, done or schedule)
        sketch = self._sketches[str(config.by_name[_SKETCH])]
        schedule, taken = self._schedule(sketch, config)
        answers = tuple((decision.name, taken[decision.name]) for decision in sketch.asked)
        return Candidate(self._task, Config(((_SKETCH, sketch.name), *answers)), schedule, sketch.text)

    def replay(self, config: Config, trace: str) -> Candidate:
        """Schedules the operator as a config and its candidate's trace say, whatever sketches there are by now.

        The trace may come from strangers. Raises IllegalSchedule where it cannot be read or applied, does not ask
        what the config answers, or TVM moves an answer elsewhere, so that another program than then would come out.
        """
        try:
            sketch = stored_sketch(self._module, trace, config)
        except (RuntimeError, ValueError, TypeError) as error:
            raise IllegalSchedule(last_line(error).strip()[:500]) from error
        schedule, taken = self._schedule(sketch, config)
        moved = [
            decision.name for decision in sketch.decisions if taken[decision.name] != decision.choices[0]
        ]
        if moved:
            raise IllegalSchedule(f"TVM takes another answer to {', '.join(moved)}")
        return Candidate(self._task, config, schedule, trace)

    def _schedule(self, sketch: Sketch, config: Config) -> tuple[s_tir.Schedule, dict[str, Answer]]:
        """A schedule by the sketch and the postprocessors; the answers that TVM really took, by decision name."""
        try:
            with self._target:
                schedule, taken = sketch.replay(config.by_name)
                for postproc in (Pipelining(),) if sketch.is_tensorized else self._postprocs:
                    if not postproc.apply(schedule):
                        raise IllegalSchedule(f"{type(postproc).__name__} turns the schedule down")
        except (RuntimeError, ValueError, TypeError) as error:
            raise IllegalSchedule(last_line(error).strip()[:500]) from error
        return schedule, taken
