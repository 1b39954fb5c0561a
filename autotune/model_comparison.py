"""A build held side by side with other engines: are its outputs theirs, and who is faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from autotune.comparison import compare
from autotune.onnx_model import InputSpec
from autotune.turns import Array, Engine, outputs, take_turn
from autotune.worker_pool import WorkerPool
from autotune.worker_process import Call
from autotune.worker_reply import Answer
from search_spaces.errors import AutotuneError
from tuning_logs.measurement import Check

# Long enough for the threads of the engine before to stop spinning.
_PAUSE_SECS = 0.05
_TIMEOUT_SECS = 600.0
# What rounding explains after some hundred layers, relative to an element or the output's root mean square.
_TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}


@dataclass(frozen=True, slots=True)
class EngineLatency:
    """What one engine took: seconds, one number a run, in the order of the runs."""

    name: str
    run_secs: tuple[float, ...]

    @property
    def secs(self) -> float:
        """The median."""
        return statistics.median(self.run_secs)


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Engines side by side: the first is the one under test, the second the peer whose outputs are the truth.

    check:   the largest deviations of the first engine's outputs from the peer's;
    mistake: what is wrong with them, None where they are equal within the tolerance of their dtype.
    """

    latencies: tuple[EngineLatency, ...]
    check: Check
    mistake: str | None

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times faster than each engine the first one is (1.0 for itself)."""
        return tuple(each.secs / self.latencies[0].secs for each in self.latencies)


def side_by_side(
    engines: Sequence[Engine],
    inputs: tuple[InputSpec, ...],
    threads: int,
    seed: int,
    rounds: int = 10,
    turn_secs: float = 0.2,
) -> ModelComparison:
    """Runs every engine in a process of its own, in turns of turn_secs, and compares the first two's outputs.

    The engines take turns so that a change of the machine's clock or load hits all of them; they do not share
    a process because the idle threads of one spin while another runs.
    Raises AutotuneError where an engine fails.
    """
    pools = [_pool(engine, threads) for engine in engines]
    try:
        ours, theirs = [
            _ask(pool, Call(outputs, (engine, inputs, seed)))
            for pool, engine in zip(pools[:2], engines[:2], strict=True)
        ]
        check, mistake = judge(ours, theirs)
        taken: list[list[float]] = [[] for _ in engines]
        for _ in range(rounds):
            for pool, engine, secs in zip(pools, engines, taken, strict=True):
                time.sleep(_PAUSE_SECS)
                secs.extend(_ask(pool, Call(take_turn, (engine, inputs, seed, turn_secs))))
    finally:
        for pool in pools:
            pool.close()
    latencies = tuple(
        EngineLatency(engine.name, tuple(secs)) for engine, secs in zip(engines, taken, strict=True)
    )
    return ModelComparison(latencies, check, mistake)


def measure(
    engine: Engine,
    inputs: tuple[InputSpec, ...],
    threads: int,
    seed: int,
    rounds: int = 5,
    turn_secs: float = 0.2,
) -> EngineLatency:
    """Times one engine in a process of its own. Raises AutotuneError where it fails."""
    with _pool(engine, threads) as pool:
        secs: list[float] = []
        for _ in range(rounds):
            secs.extend(_ask(pool, Call(take_turn, (engine, inputs, seed, turn_secs))))
    return EngineLatency(engine.name, tuple(secs))


def judge(ours: Sequence[Array], theirs: Sequence[Array]) -> tuple[Check, str | None]:
    """How far outputs are from the peer's: the largest errors of all, and what is wrong, if anything."""
    if len(ours) != len(theirs):
        return Check(float("inf"), float("inf")), f"expected {len(theirs)} outputs, found {len(ours)}"
    checks = [Check(0.0, 0.0)]
    mistakes: list[str] = []
    for index, (mine, peers) in enumerate(zip(ours, theirs, strict=True)):
        if (mine.shape, mine.dtype) != (peers.shape, peers.dtype):
            found, expected = f"{mine.dtype} {mine.shape}", f"{peers.dtype} {peers.shape}"
            mistakes.append(f"output {index} is {found} where the peer has {expected}")
            continue
        comparison = compare(mine, peers, 1.0)
        checks.append(comparison.check)
        if comparison.mistake and comparison.check.max_rel_error > _TOLERANCE.get(str(peers.dtype), 0.0):
            mistakes.append(f"output {index}: {comparison.mistake}")
    worst = Check(max(each.max_abs_error for each in checks), max(each.max_rel_error for each in checks))
    return worst, "; ".join(mistakes) or None


def _pool(engine: Engine, threads: int) -> WorkerPool:
    environment = {
        "TVM_NUM_THREADS": str(threads),
        # TVM's own binding puts two threads on one core.
        "TVM_BIND_THREADS": "0",
        "OMP_NUM_THREADS": str(threads),
    }
    memory_bytes = int(psutil.virtual_memory().total)
    return WorkerPool(1, Call(_warm_up, (engine,)), environment, memory_bytes, worn_bytes=memory_bytes)


def _warm_up(engine: Engine) -> None:
    """Unpickling the engine has imported what it runs with."""


def _ask(pool: WorkerPool, call: Call) -> Any:
    reply = pool.map([(call, _TIMEOUT_SECS)])[0]
    if not isinstance(reply, Answer):
        raise AutotuneError(f"expected {call.arguments[0].name} to run the model; found {reply}")
    return reply.value
