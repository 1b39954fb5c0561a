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
        widths: list[int] = []

        def choose(decision: Decision, widths: list[int] = widths) -> int:
            position = len(widths)
            widths.append(len(decision.choices))
            return prefix[position] if position < len(prefix) else 0

        yield space.answer(choose)
        path = [*prefix, *[0] * (len(widths) - len(prefix))]
        while path and path[-1] == widths[len(path) - 1] - 1:
            path.pop()
        if not path:
            return
        path[-1] += 1
        prefix = path
