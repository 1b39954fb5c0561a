"""`autotune cost-model train` and `adapt`: from tuning logs to a model in one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import ERR, OUT, print_json
from cost_models.adaptation import adapt as adapted
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.program_model import load_program_model
from cost_models.record_table import RecordTable
from cost_models.training import train as trained

LogsArgument = Annotated[
    list[str], typer.Argument(metavar="LOG…", help="Tuning logs, best one for each network.")
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A trained cost model.")]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the model.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Decides every random choice.")]


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


def read_table(logs: list[str]) -> RecordTable:
    """The logs' records with their features, and a word on those that are of no use."""
    table = RecordTable.read(logs, processes=os.cpu_count() or 1)
    if table.left_out:
        ERR.print(
            f"[yellow]{table.left_out} records stand for programs that this version cannot rebuild[/yellow]"
        )
    return table


def card_facts(model: XGBoostCostModel) -> dict[str, Any]:
    """A model's card without its longest parts."""
    return {name: value for name, value in model.card.items() if name != "task_keys"}


def print_card(model: XGBoostCostModel) -> None:
    """A model's card for people."""
    card = model.card
    OUT.print(f"{card['records']:,} records of {card['tasks']} tasks, {card['date']}", highlight=False)
    for device in card["measured_on"]:
        OUT.print(f"measured on {device}", highlight=False, markup=False)
    for name, digest in card["logs"].items():
        OUT.print(f"log {name}: {digest[:16]}", highlight=False, markup=False)
    adaptation = card.get("adapted")
    if adaptation:
        ways = ", ".join(f"{way} {accuracy:.3f}" for way, accuracy in adaptation["held_out_pairwise"].items())
        OUT.print(f"adapted: {adaptation['way']} ({ways or 'too few records to compare'})", highlight=False)
    metrics = card["metrics"].get("held_out_tasks")
    if metrics:
        OUT.print(
            f"on {metrics['tasks']} held-out tasks: top-1 {metrics['top1']:.3f}, top-5 {metrics['top5']:.3f}, "
            f"pairwise {metrics['pairwise']:.3f}, Spearman {metrics['spearman']:.3f}; "
            f"weighted top-1 {metrics['weighted_top1']:.3f}, top-5 {metrics['weighted_top5']:.3f}",
            highlight=False,
        )
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    OUT.print(f"features version {card['feature_version']}; {versions}", highlight=False, markup=False)


def _finish(model: XGBoostCostModel, output: Path, json: bool) -> None:
    model.save(output)
    if json:
        print_json({"model": str(output), **card_facts(model)})
        return
    print_card(model)
    OUT.print(f"→ {output}", highlight=False)
