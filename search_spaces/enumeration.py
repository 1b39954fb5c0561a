"""Walks a whole search space in order, for spaces small enough to be measured to the end."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.config import Config
from search_spaces.decision import Decision
from search_spaces.space import SearchSpace


def enumerate_configs(space: SearchSpace) -> Iterator[Config]:
    """Every config of the space once, legal or not, the later decisions changing fastest."""
    prefix: list[int] = []
    while True:
        path = _Path(prefix)
        yield space.answer(path)
        while path.taken and path.taken[-1] == path.widths[len(path.taken) - 1] - 1:
            path.taken.pop()
        if not path.taken:
            return
        path.taken[-1] += 1
        prefix = path.taken


class _Path:
    """Follows a list of positions as far as it goes, then takes first choices; keeps what it took."""

    def __init__(self, prefix: list[int]) -> None:
        self.prefix = prefix
        self.taken: list[int] = []
        self.widths: list[int] = []

    def __call__(self, decision: Decision) -> int:
        position = self.prefix[len(self.taken)] if len(self.taken) < len(self.prefix) else 0
        self.taken.append(position)
        self.widths.append(len(decision.choices))
        return position
