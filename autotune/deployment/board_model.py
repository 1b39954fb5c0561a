"""Whole models on a board: sent there, loaded beside each other in one session, run and timed (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tvm
from tvm import relax

from autotune.deployment.engine import Array, draw
from autotune.deployment.executable import SavedModel
from autotune.deployment.referee import Referee
from autotune.deployment.samples import Sample
from autotune.deployment.side_by_side import (
    DRAWS,
    EngineLatency,
    EngineProcess,
    ModelComparison,
    compare_processes,
    time_process,
)
from autotune.devices.connection import Rpc
from autotune.measurement.board_reply import Lost
from autotune.measurement.board_trial import BoardRequest, held_session
from autotune.models.onnx_file import InputSpec
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool, lasting_worker
from autotune.workers.process import Call
from autotune.workers.remote_end import find_session_end
from search_spaces.errors import AutotuneError, last_line

# The session of a search that has just ended may still be on its way out.
_WAIT_SECS = 30.0
_TURN_SECS = 0.2


@dataclass(frozen=True, slots=True)
class BoardModel:
    """A saved model that runs on the next board that is free, on seeded inputs."""

    build: SavedModel
    boards: BoardRequest
    inputs: tuple[InputSpec, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class BoardModelRunner:
    """See `autotune.deployment.model_runner.ModelRunner`: a board under a key at a tracker.

    Builds that are compared are in one session on one board, with one pool of threads; it is given back in the end.
    """

    boards: Rpc
    seed: int

    def measure(
        self, build: SavedModel, inputs: tuple[InputSpec, ...], rounds: int, round_secs: float
    ) -> EngineLatency:
        """Times one build in so many turns; the times are taken on the board."""
        with _pool() as pool:
            return time_process(self._engine_process(pool, build, inputs, round_secs), rounds)

    def side_by_side(
        self,
        builds: Sequence[SavedModel],
        inputs: tuple[InputSpec, ...],
        rounds: int,
        referee: Referee | None,
        spare_secs: Callable[[], float],
    ) -> ModelComparison:
        """Times builds in turns and judges the first one's outputs; the times are taken on the board."""
        with ExitStack() as stack:
            samples = referee.samples if referee else ()
            processes = self.engine_processes(stack, builds, inputs, samples)
            return compare_processes(processes, rounds, referee, spare_secs)

    def engine_processes(
        self,
        stack: ExitStack,
        builds: Sequence[SavedModel],
        inputs: tuple[InputSpec, ...],
        samples: tuple[Sample, ...],
    ) -> list[EngineProcess]:
        """Builds in one session on one board, which ends with the stack."""
        pool = stack.enter_context(_pool())
        return [self._engine_process(pool, build, inputs, _TURN_SECS, samples) for build in builds]

    def _engine_process(
        self,
        pool: WorkerPool,
        build: SavedModel,
        inputs: tuple[InputSpec, ...],
        round_secs: float,
        samples: tuple[Sample, ...] = (),
    ) -> EngineProcess:
        boards = BoardRequest(self.boards, frozenset(), _WAIT_SECS)
        model = BoardModel(build, boards, inputs, self.seed)
        name = f"{build.name} on a board under {self.boards.key!r}"
        draws = [tuple(draw(inputs, self.seed + number)) for number in range(DRAWS)]
        calls = tuple(Call(outputs_on_board, (model, sample)) for sample in [*draws, *samples])
        return EngineProcess(name, pool, calls, Call(run_secs_on_board, (model, round_secs)))


def outputs_on_board(model: BoardModel, inputs: Sample) -> tuple[Array, ...]:
    """Outputs of the model for inputs. Raises AutotuneError where the board or the model fails."""
    with _faults_told():
        return _loaded(model).outputs(inputs)


def run_secs_on_board(model: BoardModel, round_secs: float) -> list[float]:
    """Latencies in seconds as the board's clock tells them, one a run, see `autotune.deployment.engine.run_secs`.

    Raises AutotuneError where the board or the model fails.
    """
    with _faults_told():
        return _loaded(model).timed_runs(round_secs)


class _Loaded:
    """A model on a board, with its inputs there."""

    def __init__(self, connection: Any, module: Any, arguments: Sequence[Array]) -> None:
        self._device = connection.cpu()
        self._machine = relax.VirtualMachine(module, self._device)
        self._arguments = arguments
        self._set_inputs(arguments)

    def _set_inputs(self, arguments: Sequence[Array]) -> None:
        # The outputs stay there, too: what a run takes must not depend on the network.
        self._machine.set_input("main", *[tvm.runtime.tensor(value, self._device) for value in arguments])

    def outputs(self, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """The model's outputs for other inputs than those it is timed with."""
        self._set_inputs(arguments)
        self._machine.invoke_stateful("main")
        found = self._machine.get_outputs("main")
        arrays = tuple(np.asarray(one.numpy()) for one in (found if isinstance(found, tuple) else (found,)))
        self._set_inputs(self._arguments)
        return arrays

    def timed_runs(self, round_secs: float) -> list[float]:
        """Latencies in seconds: as many runs as fit, at least one, after one that warms the caches."""
        [first] = self._run_secs(1)
        more = int(round_secs / first) - 1
        return [first] if more < 1 else self._run_secs(more)

    def _run_secs(self, runs: int) -> list[float]:
        timer = self._machine.time_evaluator("invoke_stateful", self._device, number=1, repeat=runs)
        return [float(secs) for secs in timer("main").results]


@cache
def _loaded(model: BoardModel) -> _Loaded:
    session = held_session(model.boards)
    if isinstance(session, Lost):
        raise AutotuneError(session.message, code="AT704")
    module = session.load_library(model.build.path)
    return _Loaded(session.connection, module, draw(model.inputs, model.seed))


@contextmanager
def _faults_told() -> Iterator[None]:
    """Turns whatever TVM makes of a board's fault into what happened there, in a line."""
    try:
        yield
    except Exception as error:
        end = find_session_end(str(error))
        raise AutotuneError(end.message if end else last_line(error), code="AT704") from error


def _pool() -> WorkerPool:
    """One process, so that there is one session for all it is asked."""
    return lasting_worker(WorkerNeeds(held_session.__module__))
