"""A build held side by side with other engines: are its outputs theirs, and who is faster."""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from autotune.deployment.engine import Array, Engine, open_pickled, outputs, outputs_of_sample, run_secs
from autotune.deployment.referee import Referee, of_peer
from autotune.deployment.samples import Sample
from autotune.measurement.timing import in_turns
from autotune.models.onnx_file import InputSpec
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.idle import wait_until_idle
from autotune.workers.pool import WorkerPool, lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError
from tuning_logs.records.measurement import Check

_TIMEOUT_SECS = 600.0
# However much time is left, this many times as many rounds are enough.
_MOST_ROUNDS = 10
#: Draws of inputs for which outputs are compared.
DRAWS = 2


@dataclass(frozen=True, slots=True)
class TimingSettings:
    """The settings of a latency measurement: inputs drawn with a seed, threads, and rounds of round_secs each."""

    inputs: tuple[InputSpec, ...]
    threads: int
    rounds: int = 10
    round_secs: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EngineLatency:
    """An engine's latencies in seconds, one a run, in the order of the runs."""

    name: str
    run_secs: tuple[float, ...]

    @property
    def secs(self) -> float:
        """The median."""
        return statistics.median(self.run_secs)


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """An engine in a worker process, with the calls for its outputs of each draw and for the latencies of one round.

    opening: the call that opens the engine, to be made first, of an engine whose process is here. The others open it
    as well, where that was not done.
    """

    name: str
    pool: WorkerPool
    outputs: tuple[Call, ...]
    round: Call
    opening: Call | None = None


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Engines side by side: the first is the one under test.

    check:   the largest deviations of the first engine's outputs from the reference's;
    mistake: what is wrong with them, None where they are equal within rounding.
    """

    latencies: tuple[EngineLatency, ...]
    check: Check
    mistake: str | None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Speedup of the first engine over each engine (1.0 over itself)."""
        return tuple(each.secs / self.latencies[0].secs for each in self.latencies)


def side_by_side(
    engines: Sequence[Engine],
    settings: TimingSettings,
    referee: Referee | None = None,
    spare_secs: Callable[[], float] = lambda: 0.0,
) -> ModelComparison:
    """Runs every engine in a process of its own, in turns, and judges the first one's outputs.

    referee:    the reference's outputs for `DRAWS` draws from the seed on and its samples; None: the second engine's
                are the truth.
    spare_secs: the time left; there are up to ten times as many rounds while one more of all engines fits into it.

    The engines take turns so that a change of the machine's clock or load hits all of them; they do not share
    a process because the idle threads of one spin while another runs.
    Raises AutotuneError where an engine fails.
    """
    with ExitStack() as stack:
        samples = referee.samples if referee else ()
        processes = [engine_process(stack, engine, settings, samples=samples) for engine in engines]
        return compare_processes(processes, settings.rounds, referee, spare_secs)


def compare_processes(
    processes: Sequence[EngineProcess], rounds: int, referee: Referee | None, spare_secs: Callable[[], float]
) -> ModelComparison:
    """As `side_by_side`, of engines that have a process, here or at a board. Raises AutotuneError where one fails."""
    judged_by = referee or Referee(tuple(map(of_peer, _outputs(processes[1]))))
    verdict = judged_by.judge(_outputs(processes[0]))
    started = time.monotonic()

    def has_next_round(done: int) -> bool:
        if done < rounds:
            return True
        return done < _MOST_ROUNDS * rounds and spare_secs() >= (time.monotonic() - started) / done

    sides = {place: partial(_round_secs, processes, place) for place in range(len(processes))}
    samples = in_turns(sides, has_next_round)
    latencies = tuple(
        EngineLatency(process.name, tuple(chain(*samples[place]))) for place, process in enumerate(processes)
    )
    return ModelComparison(latencies, verdict.check, verdict.mistake)


def _round_secs(processes: Sequence[EngineProcess], place: int) -> list[float]:
    """Latencies of one round of one process, once the threads of all others rest."""
    wait_for_others(processes, place)
    return list(_ask(processes[place], processes[place].round))


def wait_for_others(processes: Sequence[EngineProcess], place: int) -> None:
    """Returns once the threads of all processes but that one rest."""
    own = processes[place].pool
    wait_until_idle(pid for other in processes if other.pool is not own for pid in other.pool.pids)


def measure(engine: Engine, settings: TimingSettings) -> EngineLatency:
    """Times one engine in a process of its own. Raises AutotuneError where it fails."""
    with ExitStack() as stack:
        return time_process(engine_process(stack, engine, settings), settings.rounds)


def time_process(process: EngineProcess, rounds: int) -> EngineLatency:
    """As `measure`, of an engine that has a process. Raises AutotuneError where it fails."""
    secs = [each for _ in range(rounds) for each in _ask(process, process.round)]
    return EngineLatency(process.name, tuple(secs))


@dataclass(frozen=True, slots=True)
class TrialRun:
    """First runs of an engine: latencies, and its outputs for `DRAWS` draws of inputs and for samples."""

    latency: EngineLatency
    outputs: tuple[tuple[Array, ...], ...]


def trial_run(
    engine: Engine,
    settings: TimingSettings,
    server: ForkServer | None = None,
    samples: tuple[Sample, ...] = (),
) -> TrialRun:
    """Runs an engine in a process of its own. server: forks the process; by default one of its own.

    Raises AutotuneError where the engine fails.
    """
    with ExitStack() as stack:
        process = engine_process(stack, engine, settings, server, samples)
        found = _outputs(process)
        return TrialRun(time_process(process, settings.rounds), found)


def _outputs(process: EngineProcess) -> tuple[tuple[Array, ...], ...]:
    return tuple(tuple(_ask(process, call)) for call in process.outputs)


def engine_process(
    stack: ExitStack,
    engine: Engine,
    settings: TimingSettings,
    server: ForkServer | None = None,
    samples: tuple[Sample, ...] = (),
) -> EngineProcess:
    """A process for an engine, which ends with the stack. server: forks it; by default one of its own."""
    needs = WorkerNeeds(__name__, kernel_threads(settings.threads))
    pool = stack.enter_context(lasting_worker(needs, server))
    inputs, seed = settings.inputs, settings.seed
    draws = [Call(outputs, (engine, inputs, seed + draw)) for draw in range(DRAWS)]
    of_samples = [Call(outputs_of_sample, (engine, sample)) for sample in samples]
    return EngineProcess(
        engine.name,
        pool,
        (*draws, *of_samples),
        Call(run_secs, (engine, inputs, seed, settings.round_secs)),
        Call(open_pickled, (pickle.dumps(engine),)),
    )


def _ask(process: EngineProcess, call: Call) -> Any:
    reply = process.pool.map([(call, _TIMEOUT_SECS)])[0]
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected {process.name} to run the model; found {reply.message}", code="AT704")
    return reply.value
