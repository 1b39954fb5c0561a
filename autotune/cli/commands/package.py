"""`autotune package`: a built model as something to install elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    MaxMbOption,
    ModelArgument,
    OptionalLogOption,
    SamplesOption,
    ShapeOption,
)


def package(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder that packages are written to.")
    ],
    form: Annotated[
        list[str], typer.Option("--as", metavar="FORM", help="wheel or archive; repeatable.")
    ],
    log: OptionalLogOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    max_mb: MaxMbOption = None,
    samples: SamplesOption = None,
    json: JsonOption = False,
) -> None:
    """Build a model, and package it with what running needs: a Python wheel, a C++ archive."""
    raise NotImplementedError
