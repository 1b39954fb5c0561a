"""Observations of a search space: the data of a surrogate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces.config import Config
from tuning_logs.records.gpu_resources import GpuResources


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """The observations of one task on one device.

    measured:        configs that were measured.
    losses:          the objective of each, to be minimised (seconds for programs), infinite for a failure.
    illegal:         configs without a program.
    pending:         configs that are being measured.
    initial_configs: promising configs, such as the best of similar tasks; they may answer other decisions.
    build_secs:      the compile time of each measured one; empty where nothing is compiled.
    resources:       of the GPU that each measured one occupies, None where its compiler reported none; empty elsewhere.
    """

    measured: tuple[Config, ...] = ()
    losses: tuple[float, ...] = ()
    illegal: tuple[Config, ...] = ()
    pending: tuple[Config, ...] = ()
    initial_configs: tuple[Config, ...] = ()
    build_secs: tuple[float, ...] = ()
    resources: tuple[GpuResources | None, ...] = ()

    @property
    def known(self) -> set[Config]:
        """The configs that must not be proposed again."""
        return {*self.measured, *self.illegal, *self.pending}

    def best(self, count: int) -> list[Config]:
        """Up to `count` configs that ran, best first; the earlier of equals first."""
        order = np.argsort(self.losses, kind="stable")
        return [self.measured[place] for place in order[:count] if np.isfinite(self.losses[place])]
