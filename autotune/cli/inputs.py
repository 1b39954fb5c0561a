"""Readers of model files and operators that a command line names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autotune.cli.console import warn
from autotune.cli.values import parse_dims, parse_shapes
from autotune.models import onnx_file
from autotune.models.model import Model, load_model
from autotune.models.onnx_file import FixedSizes, Shape
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces import Misuse, Target, TuningTask


@dataclass(frozen=True, slots=True)
class Sizes:
    """The values of --shape and --dim."""

    shape: list[str] | None
    dim: list[str] | None

    def shapes_of(self, path: Path) -> dict[str, Shape]:
        """The shapes that they fix, by input; those of all inputs of the file where dimensions are named."""
        shapes, dims = parse_shapes(self.shape or []), parse_dims(self.dim or [])
        if not dims:
            return shapes
        model, notices = onnx_file.read_with_notices(path, FixedSizes(shapes, dims))
        _show(notices)
        return {spec.name: spec.shape for spec in onnx_file.inputs(model)}


def read_model(path: Path, sizes: Sizes) -> Model:
    """Reads a model file with the sizes of a command line; shows what was decided for the user."""
    model = load_model(path, sizes.shapes_of(path))
    _show(model.notices)
    return model


def read_tasks(
    path: Path | None, operator: str | None, sizes: Sizes, target: Target
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
    return extract_tasks(read_model(path, sizes), target)


def _show(notices: Iterable[str]) -> None:
    for notice in notices:
        warn(notice)
