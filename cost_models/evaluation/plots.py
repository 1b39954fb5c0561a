"""Charts of a model's quality, as PNG (imports Matplotlib)."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost_models.evaluation.metrics import top_k_score
from cost_models.record_table import RecordTable
from search_spaces.printable_text import one_line

# Where it cannot write to a home, it says on import that it keeps its fonts elsewhere.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
from matplotlib.figure import Figure  # noqa: E402

Floats = NDArray[np.float64]
_SIZE = (5.2, 4.0)
# Longer labels leave no room for the axes.
_LABEL_CHARS = 48


def literal_label(text: str) -> str:
    """A label that matplotlib shows literally, on one line, with … in place of its middle where it is long.

    Dollar signs make no formula, and neither _ nor a lack of letters hides it from a legend.
    """
    line = one_line(text)
    if len(line) > _LABEL_CHARS:
        line = f"{line[: _LABEL_CHARS // 2]}…{line[1 - _LABEL_CHARS // 2 :]}"
    shown = line.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") or not shown else shown


def predicted_against_measured(table: RecordTable, predicted: Floats) -> bytes:
    """Each config's share of its task's best speed against the share of predictions in its task that are lower."""
    figure, axes = _figure("measured: best time / time", "predicted: rank within the task")
    ranks = np.zeros(len(table))
    for group in np.unique(table.groups):
        rows = np.flatnonzero(table.groups == group)
        order = np.argsort(np.argsort(predicted[rows]))
        ranks[rows] = (order + 0.5) / len(rows)
    axes.plot(table.scores, ranks, ".", markersize=2, alpha=0.35)
    return _png(figure)


def top_k_curve(table: RecordTable, predicted: Mapping[str, Floats], most: int = 32) -> bytes:
    """The best score among the k configs predicted best, over the best score, for each model by name."""
    figure, axes = _figure("k: configs that are measured", "best found / best there is")
    sizes = np.arange(1, most + 1)
    for name, said in predicted.items():
        found = [top_k_score(table.scores, said, table.groups, int(k)) for k in sizes]
        axes.plot(sizes, found, label=literal_label(name))
    axes.set_ylim(0, 1.01)
    axes.legend(fontsize=7)
    return _png(figure)


def learning_curve(counts: Sequence[int], found: Mapping[str, Sequence[float]], what: str) -> bytes:
    """A metric against the number of training rows, for each model by name."""
    figure, axes = _figure("measurements", what)
    for name, values in found.items():
        axes.plot(counts, values, "o-", markersize=3, label=literal_label(name))
    axes.set_xscale("log")
    axes.legend(fontsize=7)
    return _png(figure)


def reliability_curve(points: Sequence[tuple[float, float]]) -> bytes:
    """The share of configs that ran against the predicted probability."""
    figure, axes = _figure("said to run", "ran")
    axes.plot([0, 1], [0, 1], ":", color="gray")
    axes.plot([said for said, _ in points], [found for _, found in points], "o-")
    return _png(figure)


def _figure(across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


def saved(figure: Figure, **options: Any) -> bytes:
    """The bytes of a picture, without matplotlib's warnings of letters that its fonts lack."""
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(held, **options)
    return held.getvalue()


def _png(figure: Figure) -> bytes:
    return saved(figure, format="png", dpi=110)
