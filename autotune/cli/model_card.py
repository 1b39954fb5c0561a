"""The card of a cost model: its training data, quality and versions."""

from __future__ import annotations

from typing import Any

from autotune.cli.console import tell
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from search_spaces.printable_text import counted


def card_facts(model: XGBoostCostModel) -> dict[str, Any]:
    """A model's card without the keys of its tasks."""
    return {name: value for name, value in model.card.items() if name != "task_keys"}


def print_card(model: XGBoostCostModel) -> None:
    """Prints a model's card."""
    card = model.card
    tell(f"{counted(card['records'], 'record')} of {counted(card['tasks'], 'task')}, {card['date']}")
    for device in card["measured_on"]:
        tell(f"measured on {device}")
    for name, digest in card["logs"].items():
        tell(f"log {name}: {digest[:16]}")
    adaptation = card.get("adapted")
    if adaptation:
        ways = ", ".join(f"{way} {accuracy:.3f}" for way, accuracy in adaptation["held_out_pairwise"].items())
        tell(f"adapted: {adaptation['way']} ({ways or 'too few records to compare'})")
    metrics = card["metrics"].get("held_out_tasks")
    if metrics:
        tell(
            f"on {metrics['tasks']} held-out tasks: top-1 {metrics['top1']:.3f}, top-5 {metrics['top5']:.3f}, "
            f"pairwise {metrics['pairwise']:.3f}, Spearman {metrics['spearman']:.3f}; "
            f"weighted top-1 {metrics['weighted_top1']:.3f}, top-5 {metrics['weighted_top5']:.3f}",
        )
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    tell(f"features version {card['feature_version']}; {versions}")
