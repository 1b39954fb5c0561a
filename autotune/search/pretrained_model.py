"""The pretrained cost model of a search: a named file, or one that ships with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cost_models
from autotune.devices.device import Device
from autotune.search.pretrained_prior import PretrainedPrior
from autotune.search.surrogate import Prior
from cost_models.boosters.model_file import SUFFIXES
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.features.program_features import FEATURE_VERSION, vector_bits
from cost_models.program_model import check_card, load_program_model
from search_spaces import SearchSpace, Target
from search_spaces.printable_text import counted
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

#: The folder of the models that come with this package.
SHIPPED: Final = Path(cost_models.__file__).parent / "pretrained"
#: The argument for a search without a pretrained model.
NO_MODEL: Final = "none"


@dataclass(frozen=True)
class PretrainedModel:
    """A model, its name in messages, and the device of the search."""

    name: str
    model: XGBoostCostModel
    device: Device

    @property
    def line(self) -> str:
        """A line for users: the model and its training data."""
        card = self.model.card
        learned = (
            f"{counted(card['records'], 'record')} of {counted(card['tasks'], 'task')} on "
            f"{', '.join(device_names(card))}"
        )
        return f"the search is guided by the cost model {self.name}, which learned from {learned}"

    def prior(self, space: SearchSpace) -> Prior | None:
        """The model's prior over a space; None for spaces of another kind than it was trained on."""
        if not isinstance(space, TensorIRSpace):
            return None
        return PretrainedPrior(space, self.device.fingerprint, self.model)


def load_pretrained(where: Path | None, device: Device) -> PretrainedModel | None:
    """The model for a device, None where there is none.

    where: a model's file; or a folder such as `SHIPPED`, of whose models the first is taken that learned on a device
    like this one; or None. Raises Misuse where a file is no model, or one for other features.
    """
    if where is None:
        return None
    if where != SHIPPED and not os.path.isdir(where):
        return PretrainedModel(where.stem, load_program_model(where), device)
    for path in sorted(each for each in where.iterdir() if each.suffix in SUFFIXES):
        model = XGBoostCostModel.load(path)
        if model.card.get("feature_version") != FEATURE_VERSION:
            continue
        check_card(model.card, path)
        if matches(model.card, device):
            return PretrainedModel(path.stem, model, device)
    return None


def matches(card: Mapping[str, Any], device: Device) -> bool:
    """Whether a model with this card was trained on a similar device: the same architecture and vector width.

    The number of threads may differ: it is a feature of the model.
    """
    if device.target.kind != "llvm" or card["feature_version"] != FEATURE_VERSION:
        return False
    here = (device.fingerprint.facts.get("isa"), vector_bits(device.target))
    return any(
        (known.get("isa"), vector_bits(Target.parse(target))) == here
        for known in (one["facts"] for one in card["devices"])
        for target in card["targets"]
    )


def device_names(card: Mapping[str, Any]) -> list[str]:
    """Processor and number of threads of the devices that a model was trained on."""
    names = [f"{one['name']} with {one['facts'].get('threads')} threads" for one in card["devices"]]
    return list(dict.fromkeys(names))
