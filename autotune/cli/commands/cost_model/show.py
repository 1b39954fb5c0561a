"""`autotune cost-model show`: the card of a model and its most important features."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.arguments import MOST_CONFIGS, JsonOption
from autotune.cli.console import print_json
from autotune.cli.cost_model_arguments import ModelArgument
from autotune.cli.model_card import card_facts, print_card
from autotune.cli.tables import print_table
from autotune.jobs.table import Column, Table
from cost_models.features.program_features import COLUMNS
from cost_models.program_model import load_program_model


def show(
    model: ModelArgument,
    features: Annotated[
        int,
        typer.Option("--features", min=0, max=MOST_CONFIGS, help="How many of the most important to list."),
    ] = 15,
    json: JsonOption = False,
) -> None:
    """Print a model's card and its most important features."""
    loaded = load_program_model(model)
    feature_importance = {
        COLUMNS[column]: gain for column, gain in list(loaded.feature_importance().items())[:features]
    }
    if json:
        print_json({"model": str(model), **card_facts(loaded), "features": feature_importance})
        return
    print_card(loaded)
    columns = (Column("feature", 9, 20), Column("share", 8))
    print_table(Table("", columns, tuple(feature_importance.items())))
