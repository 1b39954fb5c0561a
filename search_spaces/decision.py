"""One question that a search space asks, with the finite, ordered list of its possible answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: A categorical answer, a number, or the factors of one tiled loop, outermost first.
Answer = int | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A question. Within one search space, the same name always comes with the same choices.

    >>> Decision("tile_x", ((8, 1), (4, 2), (2, 4), (1, 8)))
    """

    name: str
    choices: tuple[Answer, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError(f"decision {self.name!r} needs at least one choice, got none")


#: Answers a question with the index of one of its choices.
Choose = Callable[[Decision], int]
