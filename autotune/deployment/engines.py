"""Engines by name: the runtime of a file's format, and for ONNX files others by entry points of `autotune.engines`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from autotune.deployment.engine import Engine
from autotune.deployment.reference_engine import RUNTIMES, reference_engine
from autotune.models.model_format import ModelFormat, format_of
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
    """Names of the engines for ONNX files that are known here; the packages of some may be missing."""
    return sorted({found.name for found in entry_points(group=_GROUP)})


def find_engine(name: str, path: Path, shapes: Mapping[str, Shape], threads: int) -> Engine:
    """The engine of that name for a model's file. Raises Misuse for an unknown name, and a file of another format.

    shapes: of all inputs by name, in the order of the file.
    """
    file_format = format_of(path)
    if file_format is not ModelFormat.ONNX and name == RUNTIMES[file_format]:
        return reference_engine(path, shapes, threads)
    found = [each for each in entry_points(group=_GROUP) if each.name == name]
    if not found:
        raise Misuse(
            f"expected an engine, one of {', '.join(engine_names())}; found {name!r}. "
            f"A package adds one by an entry point of the group {_GROUP!r}",
            code="AT805",
        )
    if file_format is not ModelFormat.ONNX:
        raise Misuse(
            f"expected an ONNX file to run in {name}; found {path.name}, whose runtime is "
            f"{RUNTIMES[file_format]}",
            code="AT805",
        )
    factory: EngineFactory = found[0].load()
    return factory(path.absolute(), tuple(shapes.items()), threads)
