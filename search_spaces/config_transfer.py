"""A config of one operator carried over to another of the same structure and other sizes."""

from __future__ import annotations

import math

from search_spaces.config import Config
from search_spaces.decision import Answer, Choose, Decision

#: How much more a loop's factor matters than that of the loop around it: vector widths and cache tiles are inside.
_INNER_WEIGHT = 2.0


def transferred(config: Config) -> Choose:
    """A chooser that answers as the config does where it can, and as nearly as it can elsewhere.

    Of a loop's tiling the inner factors are kept and the outermost takes up the other extent; where that is no
    choice, the nearest tiling is, by the ratios of its factors. A question that the config does not answer gets its
    first choice.
    """

    def choose(decision: Decision) -> int:
        answer = config.by_name.get(decision.name)
        if answer is None:
            return 0
        if answer in decision.choices:
            return decision.choices.index(answer)
        distances = [_distance(answer, choice) for choice in decision.choices]
        return distances.index(min(distances))

    return choose


def _distance(answer: Answer, choice: Answer) -> float:
    if isinstance(answer, tuple) and isinstance(choice, tuple) and len(answer) == len(choice):
        wanted = (answer[0] * math.prod(choice) / max(math.prod(answer), 1), *answer[1:])
        return sum(
            _INNER_WEIGHT**place * abs(math.log2(max(have, 1) / max(want, 2**-20)))
            for place, (have, want) in enumerate(zip(choice, wanted, strict=True))
        )
    if isinstance(answer, int) and isinstance(choice, int):
        return float(abs(answer - choice))
    return math.inf
