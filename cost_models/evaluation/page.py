"""One HTML page, pictures included, on how good a model is."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape

from cost_models.evaluation.held_out import Quality, TaskScore

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#1a1a2e}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5em}img{max-width:30em}"
)


def evaluation_page(
    title: str,
    facts: Mapping[str, str],
    qualities: Mapping[str, Quality],
    scores: Sequence[TaskScore],
    pictures: Mapping[str, bytes],
) -> str:
    """The page; qualities by model, scores by task, pictures (PNG) by caption."""
    known = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    columns = ["model", *next(iter(asdict(each) for each in qualities.values()), {})]
    lines = [[name, *asdict(each).values()] for name, each in qualities.items()]
    tasks = [
        [
            score.facts.task.name,
            ", ".join(score.facts.networks),
            score.configs,
            score.top1,
            score.top5,
            score.pairwise,
            score.spearman,
        ]
        for score in sorted(scores, key=lambda score: score.pairwise)
    ]
    shown = "".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in pictures.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1><table>{known}</table>{_table(columns, lines)}{shown}"
        f"<h2>Tasks, the worst first</h2>"
        f"{_table(['task', 'networks', 'configs', 'top1', 'top5', 'pairwise', 'spearman'], tasks)}</html>"
    )


def _table(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(value))}</td>" for value in line) + "</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
