"""`autotune freeze`: a model with some of its inputs as constants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import ModelArgument
from autotune.cli.console import tell
from autotune.cli.output_place import require_file_place
from autotune.cli.values import parse_values
from autotune.models.frozen_inputs import freeze as freeze_inputs


def freeze(
    model: ModelArgument,
    value: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="An input and its value: sr=16000, or sizes=1,80; repeatable.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.onnx", help="Where the new model goes.")
    ],
) -> None:
    """Write an ONNX model with some of its inputs as constants.

    For inputs that decide what runs, such as a sampling rate that an If compares: what is compiled must be known
    before. The new model has the other inputs only.
    """
    require_file_place(output, "--output")
    values = parse_values(value)
    freeze_inputs(model, values, output)
    tell(f"{output}: {model.name} with {', '.join(values)} fixed")
