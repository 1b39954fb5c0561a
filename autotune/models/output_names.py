"""Names of a model's outputs."""

from __future__ import annotations

from pathlib import Path

import onnx

from autotune.models.model_format import ModelFormat, format_of


def output_names(path: Path, count: int) -> tuple[str, ...]:
    """The names of the outputs in an ONNX file, in order; of other formats `output0` and so on."""
    if format_of(path) is ModelFormat.ONNX:
        names = tuple(value.name for value in onnx.load(str(path), load_external_data=False).graph.output)
        if len(names) == count:
            return names
    return tuple(f"output{place}" for place in range(count))
