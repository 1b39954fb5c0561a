"""Engines run in turns, each in its process; one that fails leaves the contest, and the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from autotune.deployment.engine import Opened, peak_memory_bytes
from autotune.deployment.referee import Referee, Verdict
from autotune.deployment.side_by_side import EngineProcess, wait_for_others
from autotune.measurement.timing import in_turns
from autotune.workers.process import Call
from autotune.workers.reply import Raised, Reply, Returned
from search_spaces.errors import AutotuneError
from search_spaces.printable_text import one_line

# A slow engine has so many rounds, and more while they take less than so many times its share.
_FEWEST_ROUNDS = 3
_MOST_SHARES = 5.0
_MOST_REASON_CHARS = 400
# Types of errors that say all there is to say in their text.
_OWN_ERRORS = ("Misuse: ", "AutotuneError: ", "StorageError: ", "StorageRefused: ")


@dataclass(frozen=True, slots=True)
class ContestSettings:
    """Rounds of round_secs for each engine, and the time limit of a single call of one."""

    rounds: int
    round_secs: float
    timeout_secs: float


@dataclass(frozen=True, slots=True)
class EngineRun:
    """One engine's part in a contest.

    failure: why it left, in a line; None where it did not; opened, peak_memory_bytes: None on a board;
    verdict: on its outputs, None where there is no referee.
    """

    run_secs: tuple[float, ...]
    failure: str | None
    verdict: Verdict | None
    opened: Opened | None
    peak_memory_bytes: int | None


def contest(
    processes: Sequence[EngineProcess], referee: Referee | None, settings: ContestSettings
) -> tuple[EngineRun, ...]:
    """Opens every engine, lets the referee judge its outputs, and times them all in turns, while the others' threads
    rest. An engine that raises, crashes or exceeds the time limit is not asked again."""
    engines = [_Competitor(process, settings) for process in processes]
    for engine in engines:
        engine.start(referee)
    rounds = in_turns(
        {place: partial(_turn, engines, processes, place) for place in range(len(engines))},
        lambda done: done < settings.rounds and any(not one.is_done(done) for one in engines),
    )
    return tuple(engine.finish(chain(*rounds[place])) for place, engine in enumerate(engines))


def _turn(engines: Sequence[_Competitor], processes: Sequence[EngineProcess], place: int) -> list[float]:
    engine = engines[place]
    if engine.is_done(engine.turns):
        return []
    wait_for_others(processes, place)
    return engine.round_secs()


class _Competitor:
    """An engine that is asked until it fails."""

    def __init__(self, process: EngineProcess, settings: ContestSettings) -> None:
        self._process, self._settings = process, settings
        self._failure: str | None = None
        self._opened: Opened | None = None
        self._verdict: Verdict | None = None
        self._spent_secs = 0.0
        self.turns = 0

    def start(self, referee: Referee | None) -> None:
        """Opens the model, and has its outputs judged."""
        if self._process.opening is not None:
            self._opened = self._ask(self._process.opening)
        if referee is None:
            return
        outputs = [self._ask(call) for call in self._process.outputs]
        if self._failure is not None:
            return
        try:
            self._verdict = referee.judge(outputs)
        except (AttributeError, TypeError, ValueError) as error:
            self._failure = _short(f"its outputs cannot be compared: {error}")

    def is_done(self, turns: int) -> bool:
        """Whether it has failed, or is slow and has had enough turns."""
        share = self._settings.rounds * self._settings.round_secs
        return self._failure is not None or (
            turns >= _FEWEST_ROUNDS and self._spent_secs > _MOST_SHARES * share
        )

    def round_secs(self) -> list[float]:
        """Latencies of one round."""
        self.turns += 1
        found: list[float] = list(self._ask(self._process.round) or ())
        self._spent_secs += sum(found)
        return found

    def finish(self, run_secs: Any) -> EngineRun:
        """The engine's part, with the memory that its process held at most."""
        peak = None
        if self._failure is None and self._process.opening is not None:
            peak = self._ask(Call(peak_memory_bytes))
        return EngineRun(tuple(run_secs), self._failure, self._verdict, self._opened, peak)

    def _ask(self, call: Call) -> Any:
        """The value of a call; None once the engine has failed."""
        if self._failure is not None:
            return None
        try:
            [reply] = self._process.pool.map([(call, self._settings.timeout_secs)])
        except AutotuneError as error:
            self._failure = _short(str(error))
            return None
        if isinstance(reply, Returned):
            return reply.value
        self._failure = _reason(reply)
        return None


def _reason(reply: Reply) -> str:
    assert not isinstance(reply, Returned)
    message = reply.message
    if isinstance(reply, Raised):
        for prefix in _OWN_ERRORS:
            message = message.removeprefix(prefix)
    return _short(message)


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _MOST_REASON_CHARS else f"{line[: _MOST_REASON_CHARS - 1]}…"
