"""Samplers by name (imports Optuna)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from importlib.util import find_spec

import optuna
from optuna.samplers import BaseSampler

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.proposer import ConfigProposer
from autotune.search.surrogate import Prior
from search_spaces import Misuse, SearchSpace
from search_spaces.quiet_warnings import ignored_warnings

#: Makes the sampler of one task from its space and a seed.
SamplerFactory = Callable[[SearchSpace, int], BaseSampler]

#: Makes the prior over a space's configs, None for a space without one.
PriorFactory = Callable[[SearchSpace], Prior | None]


def without_prior(_space: SearchSpace) -> Prior | None:
    """No prior for any space."""
    return None


class SamplerKind(StrEnum):
    """The search of this project's own, and Optuna's samplers by their usual short names."""

    COST_MODEL = "cost-model"
    RANDOM = "random"
    TPE = "tpe"
    NSGA2 = "nsga2"
    NSGA3 = "nsga3"
    QMC = "qmc"
    CMAES = "cmaes"
    GP = "gp"


#: Packages that Optuna itself does not bring.
_NEEDS = {SamplerKind.GP: ("torch",), SamplerKind.CMAES: ("cmaes",)}


def sampler_factory(kind: SamplerKind, prior: PriorFactory = without_prior) -> SamplerFactory:
    """A factory for a sampler named by kind; each task gets one of its own.

    prior: what the project's own search can know of a space beforehand; Optuna's samplers have no use for it.
    Raises Misuse where the sampler needs a package that is not installed.
    """
    makers: dict[SamplerKind, Callable[[int], BaseSampler]] = {
        SamplerKind.RANDOM: lambda seed: optuna.samplers.RandomSampler(seed=seed),
        SamplerKind.TPE: _tpe,
        SamplerKind.NSGA2: lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
        SamplerKind.NSGA3: lambda seed: optuna.samplers.NSGAIIISampler(seed=seed),
        SamplerKind.QMC: lambda seed: optuna.samplers.QMCSampler(
            seed=seed, scramble=True, warn_independent_sampling=False
        ),
        SamplerKind.CMAES: lambda seed: optuna.samplers.CmaEsSampler(
            seed=seed, warn_independent_sampling=False
        ),
        SamplerKind.GP: lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=False),
    }

    missing = [name for name in _NEEDS.get(kind, ()) if find_spec(name) is None]
    if missing:
        raise Misuse(
            f"sampler {kind.value!r} needs {missing[0]}, which is not installed. Run: pip install {missing[0]}",
            code="AT802",
        )

    def make(space: SearchSpace, seed: int) -> BaseSampler:
        if kind is SamplerKind.COST_MODEL:
            return CostModelSampler(seed=seed, proposer=ConfigProposer(prior=prior(space)))
        with ignored_warnings(optuna.exceptions.ExperimentalWarning):
            return makers[kind](seed)

    return make


def _tpe(seed: int) -> BaseSampler:
    # group: decisions that only some sketches ask are modelled apart; constant_liar: a batch spreads out.
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
