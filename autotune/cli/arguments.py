"""Arguments and options that several commands share. Imports nothing heavy: every command imports this module."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from autotune.tuning.limits import MOST_SEED


def finite(value: float | None) -> float | None:
    """The number, where there is one. Raises BadParameter for infinity and for what is no number."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number; found {value}")
    return value


ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="The model: an .onnx, .pt2 or .tflite file.")
]
OptionalModelArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="The model file; or name one operator with --op."),
]
OperatorOption = Annotated[
    str | None,
    typer.Option("--op", metavar="NAME:SIZES", help="One operator instead of a model: matmul:512,512,512."),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="INPUT:SIZES",
        help="Fixes an input's shape, as in images:1,3,320,320; ranges where sizes differ from call to call: "
        "images:1..8,3,160..320:32,320.",
    ),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        metavar="NAME=SIZE",
        help="Fixes a free dimension by its name, as in batch=1; or a range: batch=1..8.",
    ),
]
SamplesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--samples",
        metavar="FILE",
        help="Inputs to compare outputs on, beside random ones: an .npz or .npy file, or a folder of them; repeatable.",
    ),
]
MaxMbOption = Annotated[
    float | None,
    typer.Option(
        "--max-mb",
        metavar="MB",
        min=0.0,
        callback=finite,
        help="The largest size of a library for ranges of sizes, which limits how many of these are built.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where to measure: local, local?threads=N, local?mcpu=haswell, rpc://…, rpcs://…, ssh://…, or a name in "
        "--devices.",
    ),
]
DevicesOption = Annotated[
    Path | None, typer.Option("--devices", metavar="FILE.toml", help="A file that describes devices by name.")
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="local|ray|ray://HOST:PORT",
        help="Where to compile and measure: this machine's processes, a Ray cluster of this machine, or another.",
    ),
]
LogOption = Annotated[
    str, typer.Option("--log", metavar="LOG", help="The tuning log: a file, or the URL of a database.")
]
OptionalLogOption = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="LOG",
        help="The tuning log: a file, or the URL of a database. Without one, operators run default schedules.",
    ),
]
#: Of options that say how many configs are kept or measured.
MOST_CONFIGS = 1_000_000
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=MOST_SEED, help="Decides every random choice.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The output folder of a job.")]
