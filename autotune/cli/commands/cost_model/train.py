"""`autotune cost-model train` and `adapt`: from tuning logs to a model in one file."""

from __future__ import annotations

from pathlib import Path

from autotune.cli.arguments import JsonOption, SeedOption
from autotune.cli.console import print_json, tell
from autotune.cli.cost_model_arguments import LogsArgument, ModelArgument, OutputOption, read_table
from autotune.cli.model_card import card_facts, print_card
from cost_models.adaptation import adapt as adapted
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.program_model import load_program_model
from cost_models.training import train as trained


def train(logs: LogsArgument, output: OutputOption, seed: SeedOption = 0, json: JsonOption = False) -> None:
    """Train a cost model on tuning logs, and judge it on tasks that it did not learn from."""
    _finish(trained(read_table(logs), seed), output, json)


def adapt(
    source: ModelArgument,
    logs: LogsArgument,
    output: OutputOption,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Adapt a cost model to the device of a few new records: as it is, corrected, or from nothing, as serves best."""
    _finish(adapted(load_program_model(source), read_table(logs), seed), output, json)


def _finish(model: XGBoostCostModel, output: Path, json: bool) -> None:
    model.save(output)
    if json:
        print_json({"model": str(output), **card_facts(model)})
        return
    print_card(model)
    tell(f"→ {output}")
