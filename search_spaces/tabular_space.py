"""A recorded search space: every legal config of a kernel, measured once and replayed from a table."""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np

from search_spaces.config import Config
from search_spaces.decision import Answer, Choose, Decision
from search_spaces.errors import IllegalSchedule, Misuse
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.text_file import UnreadableText, decode_text
from search_spaces.workload import Workload

_STATUS = "status"
_NEEDED = (_STATUS, "mean_ms", "cost_s")
_RAN = "ok"
# Recorded spaces have some megabytes; a packed file may claim any size.
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """A recorded measurement of one config, in place of a candidate's program.

    status: "ok", or the class of the failure.
    secs: mean seconds per call, infinite for a failure.
    cost_secs: seconds that compiling and measuring it took.
    """

    status: str
    secs: float
    cost_secs: float

    @property
    def ran(self) -> bool:
        """Whether there is a time."""
        return self.status == _RAN


class TabularSpace:
    """A CSV file (`.csv` or `.csv.gz`) as a search space.

    The columns before `status` are the decisions, each with the values that occur in it, sorted; after it
    `mean_ms` and `cost_s` are read. A combination that is not among the rows broke a constraint: it is illegal.

    >>> space = TabularSpace(Path("gemm.csv.gz"))
    >>> space.apply(space.default).schedule.secs
    """

    def __init__(self, path: Path) -> None:
        """Reads the whole file. Raises Misuse where it is not such a table."""
        text = _read(path)
        rows = _rows(path, text)
        header = next(rows, [])
        missing = [column for column in _NEEDED if column not in header]
        names = header[: header.index(_STATUS)] if _STATUS in header else []
        if missing or not names or len(set(header)) < len(header):
            raise Misuse(
                f"{path} needs columns of decisions, each once, then {', '.join(_NEEDED)}; "
                f"found {', '.join(header)[:500] or 'nothing'}",
                code="AT604",
            )
        self._table = dict(_outcomes(path, header, len(names), rows))
        if not any(outcome.ran for outcome in self._table.values()):
            raise Misuse(
                f"{path} needs at least one row with status {_RAN!r}, found none among {len(self._table)}",
                code="AT604",
            )
        columns = zip(*self._table, strict=True)
        self._decisions = tuple(
            Decision(name, tuple(sorted(set(column), key=_order)))
            for name, column in zip(names, columns, strict=True)
        )
        name = path.name.removesuffix(".gz").removesuffix(".csv")
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._task = TuningTask(Workload(key, name, "", 0.0), Target("recorded"))

    @property
    def task(self) -> TuningTask:
        """The recorded kernel, known by a digest of the table."""
        return self._task

    @property
    def version(self) -> str:
        """The table's digest is in the task; only the way of reading it can change."""
        return "tabular-1"

    @property
    def size(self) -> int:
        """The number of configs, illegal ones included."""
        return prod(len(decision.choices) for decision in self._decisions)

    @property
    def default(self) -> Config:
        """The first row that ran: tables list the smallest values first, as untuned code tends to have them."""
        return self._config(next(answers for answers, outcome in self._table.items() if outcome.ran))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The questions, in the order of the columns; all are always asked."""
        return self._decisions

    @cached_property
    def table(self) -> Mapping[Config, RecordedOutcome]:
        """Every row, failures included."""
        return {self._config(answers): outcome for answers, outcome in self._table.items()}

    @cached_property
    def best_secs(self) -> float:
        """The fastest recorded time."""
        return min(outcome.secs for outcome in self._table.values())

    def answer(self, choose: Choose) -> Config:
        """Asks for every column."""
        return self._config(tuple(decision.choices[choose(decision)] for decision in self._decisions))

    def heuristic_samples(self, count: int, rng: np.random.Generator) -> list[Config]:
        """None: nothing is known before the first measurement."""
        return []

    def apply(self, choose: Choose) -> Candidate:
        """The row, also one that failed: its failure was measured. Raises IllegalSchedule where there is none."""
        config = self.answer(choose)
        outcome = self._table.get(tuple(answer for _, answer in config))
        if outcome is None:
            raise IllegalSchedule("no row has these values: the combination broke a constraint of the kernel")
        return Candidate(self._task, config, outcome)

    def _config(self, answers: tuple[Answer, ...]) -> Config:
        return Config(
            tuple((decision.name, answer) for decision, answer in zip(self._decisions, answers, strict=True))
        )


def _read(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        return decode_text(data)
    except (OSError, EOFError, ValueError, zlib.error, UnreadableText) as error:
        raise Misuse(f"expected a table of a recorded space at {path}: {error}", code="AT604") from error


def _rows(path: Path, text: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text.split("\n"))
    except csv.Error as error:
        raise Misuse(f"expected a table of a recorded space at {path}: {error}", code="AT604") from error


def _outcomes(
    path: Path, header: list[str], width: int, rows: Iterator[list[str]]
) -> Iterator[tuple[tuple[Answer, ...], RecordedOutcome]]:
    place = {column: header.index(column) for column in _NEEDED}
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            status = row[place[_STATUS]]
            secs = float(row[place["mean_ms"]]) / 1e3 if status == _RAN else float("inf")
            cost_secs = float(row[place["cost_s"]] or 0.0)
            if len(row) < width or not secs > 0 or math.isinf(secs) == (status == _RAN) or not cost_secs >= 0:
                raise ValueError("too few columns, or times that are none")
        except (IndexError, ValueError) as error:
            raise Misuse(
                f"{path}, line {line}: expected a status and numbers, found {','.join(row)[:500]!r}",
                code="AT604",
            ) from error
        yield tuple(_answer(text) for text in row[:width]), RecordedOutcome(status, secs, cost_secs)


def _answer(text: str) -> Answer:
    try:
        return int(text)
    except ValueError:
        return text


def _order(answer: Answer) -> tuple[float, str]:
    """Numbers by size, then words by the alphabet."""
    try:
        return float(str(answer)), ""
    except ValueError:
        return float("inf"), str(answer)
