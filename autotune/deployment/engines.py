"""Engines for ONNX files by name: this package's, and others' by entry points of the group `autotune.engines`."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from autotune.deployment.engine import Engine
from autotune.models.model import Model
from autotune.models.model_format import ModelFormat
from autotune.models.onnx_file import Shape
from search_spaces.errors import Misuse

_GROUP = "autotune.engines"


class EngineFactory(Protocol):
    """The object that an entry point names: makes an engine of an ONNX file, without opening it.

    shapes: of all inputs by name, in the order of the file; the engine takes its inputs in this order.
    """

    def __call__(self, path: Path, shapes: tuple[tuple[str, Shape], ...], threads: int) -> Engine:
        """An engine on so many threads."""
        ...


def engine_names() -> list[str]:
    """Names of the engines that are known here; the packages of some may be missing."""
    return sorted({found.name for found in entry_points(group=_GROUP)})


def find_engine(name: str, model: Model, threads: int) -> Engine:
    """The engine of that name for a model. Raises Misuse for an unknown name, or a model that is not an ONNX file."""
    found = [each for each in entry_points(group=_GROUP) if each.name == name]
    if not found:
        raise Misuse(
            f"expected an engine, one of {', '.join(engine_names())}; found {name!r}. "
            f"A package adds one by an entry point of the group {_GROUP!r}",
            code="AT805",
        )
    if model.format is not ModelFormat.ONNX:
        raise Misuse(
            f"expected an ONNX file to compare in {name}; found {model.path.name}, for which the runtime of its "
            "own format is compared",
            code="AT805",
        )
    factory: EngineFactory = found[0].load()
    return factory(model.path.absolute(), tuple(model.shapes.items()), threads)
