"""Numbers that describe a config by its answers alone, without building anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.config import Config
from search_spaces.decision import Answer, Decision


class ConfigFeatures:
    """A fixed table from answers to columns, for a given set of decisions.

    Decisions come in the order of their names, and each brings, in this order:

    - numbers: one column `name`, log2 where all choices are positive, else the number itself;
    - tiles: log2 of every factor, `name[0]` outermost first, then log2 of what lies inside each level,
      `name[1:]`, `name[2:]` (the extents of the inner tiles);
    - strings: one column `name=choice` per choice, 1 or 0.

    Columns that are the same for every choice are left out. A decision that a config does not answer, or
    answers with what is not among the choices, is NaN in its columns: boosted trees take that as missing.

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
        self.columns = tuple(names)

    def matrix(self, configs: Sequence[Config]) -> NDArray[np.float32]:
        """(len(configs), len(columns)) float32."""
        answers = [config.by_name for config in configs]
        blocks = [np.zeros((len(configs), 0), dtype=np.float32)]
        for decision, table, positions in zip(self.decisions, self._tables, self._positions, strict=True):
            if not table.shape[1]:
                continue
            name, absent = decision.name, len(decision.choices)
            rows = [positions.get(given[name], absent) if name in given else absent for given in answers]
            blocks.append(table[rows])
        return np.concatenate(blocks, axis=1)


def _name(decision: Decision) -> str:
    return decision.name


def _table(decision: Decision) -> dict[str, list[float]]:
    """One value per choice for each column of the decision."""
    name, choices = decision.name, decision.choices
    kinds = {type(choice) for choice in choices}
    if kinds <= {int, bool}:
        columns = {name: _logs([int(choice) for choice in choices if not isinstance(choice, str | tuple)])}
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
