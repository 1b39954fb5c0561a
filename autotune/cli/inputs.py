"""Readers of model files and operators that a command line names."""

from __future__ import annotations

from pathlib import Path

from autotune.cli.values import parse_shapes
from autotune.models.model import Model, load_model
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces import Misuse, Target, TuningTask


def read_model(path: Path, shape: list[str] | None) -> Model:
    """Reads a model file with the shapes of a command line."""
    return load_model(path, parse_shapes(shape or []))


def read_tasks(
    path: Path | None, operator: str | None, shape: list[str] | None, target: Target
) -> tuple[TuningTask, ...]:
    """The tasks of a model file or of one operator. Raises Misuse unless exactly one of the two is given."""
    if (path is None) == (operator is None):
        raise Misuse(
            "name a model file or one operator with --op; " + ("found both" if path else "found neither"),
            code="AT107",
        )
    if operator is not None:
        return (operator_task(operator, target),)
    assert path is not None
    return extract_tasks(read_model(path, shape), target)
