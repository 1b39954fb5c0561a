"""Features of a config by its answers alone, without a schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from search_spaces.config import Config
from search_spaces.decision import Answer, Decision

#: The most numbers with products and ratios: more columns than trials would follow.
_PAIRED = 10


class ConfigFeatures:
    """A fixed table from answers to columns, for a given set of decisions.

    Decisions come in the order of their names, and each brings, in this order:

    - numbers: one column `name`, log2 where all choices are positive, else the number itself; where these are not all
      powers of two, one more column `name|2`, the log2 of the largest power of two that divides the number: warps,
      vectors, banks and cache lines like what fills them;
    - tiles: log2 of every factor, `name[0]` outermost first, then log2 of what lies inside each level,
      `name[1:]`, `name[2:]` (the extents of the inner tiles);
    - strings: one column `name=choice` per choice, 1 or 0.

    Where several loops are tiled into as many levels, their factors are also multiplied: `volume-4[2]` is the log2 of
    the iterations at level 2 of all loops with four levels, `volume-4[2:]` of what lies inside (the size of a tile),
    `innermost` of the last level of all tiled loops. Numbers that are positive and have more than two choices are
    multiplied and divided by twos, `x*y` and `x/y`: threads in a block, or the work of each. Trees approximate
    products of single loops poorly.

    Columns that are the same for every choice are left out. A decision that a config does not answer, or
    answers with another value than its choices, is NaN in its columns: boosted trees take that as missing.

    >>> features = ConfigFeatures([Decision("tile", ((4, 1), (2, 2))), Decision("unroll", (0, 16))])
    >>> features.columns
    ('tile[0]', 'tile[1]', 'unroll')
    """

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self.decisions = tuple(
            sorted({decision.name: decision for decision in decisions}.values(), key=_name)
        )
        names: list[str] = []
        self._tables: list[NDArray[np.float32]] = []
        self._positions: list[dict[Answer, int]] = []
        for decision in self.decisions:
            table = _table(decision)
            names += table
            stacked = (
                np.array(list(table.values()), dtype=np.float32).reshape(len(table), len(decision.choices)).T
            )
            # One more row of NaN: the answer that was not given.
            missing = np.full((1, len(table)), np.nan, dtype=np.float32)
            self._tables.append(np.concatenate([stacked, missing]))
            self._positions.append({answer: place for place, answer in enumerate(decision.choices)})
        self._factors = {
            place: _factor_logs(decision)
            for place, decision in enumerate(self.decisions)
            if _levels(decision)
        }
        levels = Counter(_levels(self.decisions[place]) for place in self._factors)
        self._volumes = sorted(level for level, count in levels.items() if count > 1)
        for level in self._volumes:
            names += [f"volume-{level}[{place}]" for place in range(level)]
            names += [f"volume-{level}[{place}:]" for place in range(1, level - 1)]
        names += ["innermost"] if len(self._factors) > 1 else []
        self._logs = {
            place: np.log2(np.array([*decision.choices, np.nan], dtype=np.float32))
            for place, decision in enumerate(self.decisions)
            if len(decision.choices) > 2 and all(map(_is_positive, decision.choices))
        }
        if len(self._logs) > _PAIRED:
            self._logs = {}
        pairs = list(combinations([self.decisions[place].name for place in self._logs], 2))
        for sign in "*/":
            names += [f"{one}{sign}{other}" for one, other in pairs]
        self.columns = tuple(names)

    def matrix(self, configs: Sequence[Config]) -> NDArray[np.float32]:
        """(len(configs), len(columns)) float32."""
        answers = [config.by_name for config in configs]
        blocks = [np.zeros((len(configs), 0), dtype=np.float32)]
        factors: dict[int, list[NDArray[np.float32]]] = {}
        logs = []
        for place, (decision, table, positions) in enumerate(
            zip(self.decisions, self._tables, self._positions, strict=True)
        ):
            if not table.shape[1]:
                continue
            name, absent = decision.name, len(decision.choices)
            rows = [positions.get(given[name], absent) if name in given else absent for given in answers]
            blocks.append(table[rows])
            if place in self._logs:
                logs.append(self._logs[place][rows])
            if place in self._factors:
                factors.setdefault(_levels(decision), []).append(self._factors[place][rows])
        for level in self._volumes:
            inside = _total(factors[level])
            blocks.append(inside)
            blocks.append(np.cumsum(inside[:, ::-1], axis=1)[:, -2:0:-1])
        if "innermost" in self.columns:
            blocks.append(_total([levels[:, -1:] for group in factors.values() for levels in group]))
        if len(logs) > 1:
            numbers = np.stack(logs, axis=1)
            ones, others = np.triu_indices(len(logs), 1)
            blocks += [numbers[:, ones] + numbers[:, others], numbers[:, ones] - numbers[:, others]]
        return np.concatenate(blocks, axis=1)


def _is_positive(choice: Answer) -> bool:
    return isinstance(choice, int) and choice > 0


def _levels(decision: Decision) -> int:
    """The number of tile levels of a loop, 0 where the decision is no tiling or has one choice."""
    lengths = {len(choice) if isinstance(choice, tuple) else 0 for choice in decision.choices}
    return lengths.pop() if len(lengths) == 1 and len(decision.choices) > 1 else 0


def _factor_logs(decision: Decision) -> NDArray[np.float32]:
    """log2 of the factors of each choice, and a row of NaN for the answer that was not given."""
    logs = np.log2(np.array(decision.choices, dtype=np.float32))
    return np.concatenate([logs, np.full((1, logs.shape[1]), np.nan, dtype=np.float32)])


def _total(logs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The sum over the loops that a config tiles, NaN where it tiles none."""
    stacked = np.stack(logs)
    missing = np.isnan(stacked).all(axis=0)
    return np.where(missing, np.float32("nan"), np.nansum(stacked, axis=0))


def _name(decision: Decision) -> str:
    return decision.name


def _table(decision: Decision) -> dict[str, list[float]]:
    """One value per choice for each column of the decision."""
    name, choices = decision.name, decision.choices
    kinds = {type(choice) for choice in choices}
    if kinds <= {int, bool}:
        numbers = [int(choice) for choice in choices if not isinstance(choice, str | tuple)]
        columns = {name: _logs(numbers)}
        if len(numbers) > 2 and min(numbers) > 0 and any(number & (number - 1) for number in numbers):
            columns[f"{name}|2"] = _logs([number & -number for number in numbers])
    elif kinds == {tuple} and len({len(choice) for choice in choices if isinstance(choice, tuple)}) == 1:
        columns = _tile_columns(name, np.array(choices, dtype=np.float64))
    else:
        columns = {f"{name}={choice}": [float(choice == other) for other in choices] for choice in choices}
    return {column: values for column, values in columns.items() if len(set(values)) > 1}


def _tile_columns(name: str, factors: NDArray[np.float64]) -> dict[str, list[float]]:
    levels = factors.shape[1]
    columns = {f"{name}[{level}]": _logs(factors[:, level].tolist()) for level in range(levels)}
    for level in range(1, levels - 1):
        columns[f"{name}[{level}:]"] = _logs(factors[:, level:].prod(axis=1).tolist())
    return columns


def _logs(numbers: Sequence[float]) -> list[float]:
    values = np.asarray(numbers, dtype=np.float64)
    return [float(value) for value in (np.log2(values) if (values > 0).all() else values)]
