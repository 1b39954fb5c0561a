"""The list of answers that picks one program out of a search space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from search_spaces.decision import Answer, Decision
from search_spaces.errors import IllegalSchedule
from search_spaces.target import Target


@dataclass(frozen=True)
class Config:
    """Answers in the order in which they were asked; frozen, hashable, and itself a chooser that replays them.

    Answers are stored as values, not as positions, so a config can be read without its space.

    >>> config = Config((("sketch", "sketch-0"), ("tile_x", (4, 2))))
    >>> config(Decision("tile_x", ((8, 1), (4, 2))))
    1
    """

    answers: tuple[tuple[str, Answer], ...]

    @cached_property
    def by_name(self) -> Mapping[str, Answer]:
        """The answers, looked up by the decision's name."""
        return dict(self.answers)

    @cached_property
    def key(self) -> str:
        """A digest of the answers (16 hex digits): equal configs have equal keys in every process."""
        text = json.dumps(self.answers, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __call__(self, decision: Decision) -> int:
        """The position of this config's answer among the decision's choices.

        Raises IllegalSchedule where the config does not answer the question or answers something unheard of,
        as happens when it comes from another version of the space.
        """
        answer = self.by_name.get(decision.name)
        if answer is None:
            raise IllegalSchedule(
                f"the config does not answer {decision.name!r}; it answers {list(self.by_name)}"
            )
        try:
            return decision.choices.index(answer)
        except ValueError:
            raise IllegalSchedule(
                f"{answer!r} is not among the {len(decision.choices)} choices of {decision.name!r}"
            ) from None

    def __iter__(self) -> Iterator[tuple[str, Answer]]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)


#: Leaves an operator as it is: naive loops.
UNTOUCHED = Config((("sketch", "default"),))
#: Schedules an operator for a CPU without a measurement. The number goes up whenever other programs come out of it, so
#: that their records are not taken for one program's.
DEFAULT_SCHEDULE = Config((("sketch", "default-schedule-7"),))


def is_default_schedule(config: Config) -> bool:
    """Whether it is a default schedule, of these rules or of earlier ones."""
    return str(config.by_name.get("sketch", "")).startswith("default-schedule")


def baseline_config(target: Target) -> Config:
    """The config of an operator that was not tuned, as builds run it: the latency to beat."""
    return UNTOUCHED if target.is_gpu else DEFAULT_SCHEDULE
