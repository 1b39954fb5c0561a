"""The evaluation of a cost model as one HTML file that needs nothing else (imports Jinja)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from jinja2 import Environment, PackageLoader, StrictUndefined

from cost_models.evaluation.held_out import Quality, TaskScore
from search_spaces.printable_text import printable_value

_TASK_COLUMNS = ("task", "networks", "configs", "top1", "top5", "pairwise", "spearman")


def evaluation_page(
    title: str,
    facts: Mapping[str, str],
    qualities: Mapping[str, Quality],
    scores: Sequence[TaskScore],
    pictures: Mapping[str, bytes],
) -> str:
    """Renders the page; qualities by model, scores by task, pictures (PNG) by caption."""
    metrics = next((list(asdict(each)) for each in qualities.values()), [])
    environment = Environment(
        loader=PackageLoader("cost_models.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable_value,
    )
    return environment.get_template("evaluation.html.j2").render(
        title=title,
        facts=facts,
        quality_columns=["model", *(name.replace("_", " ") for name in metrics)],
        quality_rows=[[name, *map(_text, asdict(each).values())] for name, each in qualities.items()],
        pictures=[(caption, base64.b64encode(png).decode()) for caption, png in pictures.items()],
        task_columns=_TASK_COLUMNS,
        task_rows=[_task_row(score) for score in sorted(scores, key=lambda score: score.pairwise)],
    )


def _task_row(score: TaskScore) -> list[str]:
    metrics = (score.configs, score.top1, score.top5, score.pairwise, score.spearman)
    return [score.facts.task.name, ", ".join(score.facts.networks), *map(_text, metrics)]


def _text(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
