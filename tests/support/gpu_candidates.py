"""Candidates for GPUs that are legal, drawn at random, and such that PoCL runs them, too."""

from __future__ import annotations

import random

from search_spaces.decision import Decision
from search_spaces.errors import IllegalSchedule
from search_spaces.space import Candidate
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace


def is_long(decision: Decision) -> bool:
    """Whether it unrolls loops, which PoCL's compiler takes many seconds for."""
    return decision.name.startswith("unroll")


def places(decision: Decision) -> list[int]:
    """Places of the choices without tensor cores."""
    return [place for place, choice in enumerate(decision.choices) if not str(choice).startswith("mma-")]


def legal(space: TensorIRSpace, count: int) -> list[Candidate]:
    """So many, without the default and without tensor cores, which OpenCL does not have."""
    rng = random.Random(0)
    found: list[Candidate] = []
    while len(found) < count:
        try:
            candidate = space.apply(lambda one: 0 if is_long(one) else rng.choice(places(one)))
        except IllegalSchedule:
            continue
        if candidate.config != space.default:
            found.append(candidate)
    return found
