"""What is known about a search space when the next configs are proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces.config import Config


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """One task on one device so far.

    measured:   every config that was tried.
    losses:     what came out of each, to be minimised (seconds for programs), infinite for a failure.
    illegal:    configs from which nothing can be built.
    pending:    configs that are being measured.
    initial_configs:      configs that promise much, such as the best of similar tasks; they may answer other questions.
    build_secs: what compiling each of the measured ones took; empty where nothing is compiled.
    """

    measured: tuple[Config, ...] = ()
    losses: tuple[float, ...] = ()
    illegal: tuple[Config, ...] = ()
    pending: tuple[Config, ...] = ()
    initial_configs: tuple[Config, ...] = ()
    build_secs: tuple[float, ...] = ()

    @property
    def known(self) -> set[Config]:
        """Everything that must not be proposed again."""
        return {*self.measured, *self.illegal, *self.pending}

    def best(self, count: int) -> list[Config]:
        """Up to `count` configs that ran, best first; the earlier of equals first."""
        order = np.argsort(self.losses, kind="stable")
        return [self.measured[place] for place in order[:count] if np.isfinite(self.losses[place])]
