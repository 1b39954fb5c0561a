"""What a command is about: a model file, or one operator by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.options import parse_shapes
from autotune.device import Device, parse_device
from autotune.device_file import read_devices
from autotune.model import Model, load_model
from autotune.operators import operator_task
from autotune.tasks import extract_tasks
from search_spaces import Misuse, Target, TuningTask

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model.")]
OptionalModelArgument = Annotated[
    Path | None, typer.Argument(metavar="[MODEL.onnx]", help="The model; or name one operator with --op.")
]
OperatorOption = Annotated[
    str | None,
    typer.Option("--op", metavar="NAME:SIZES", help="One operator instead of a model: matmul:512,512,512."),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="INPUT:SIZES", help="Fixes an input's shape, as in images:1,3,320,320."),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where to measure: local, local?threads=N, rpc://HOST:PORT/KEY?target=…, or a name in --devices.",
    ),
]
DevicesOption = Annotated[
    Path | None, typer.Option("--devices", metavar="FILE.toml", help="A file that describes devices by name.")
]
LogOption = Annotated[
    str, typer.Option("--log", metavar="LOG", help="The tuning log: a file, or the URL of a database.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def reach_device(device: str, devices: Path | None) -> Device:
    """The device of a command line: a URL, or a name in the file of devices where there is one.

    Raises Misuse where it is neither, and AutotuneError where the device cannot be reached.
    """
    if devices is None:
        return parse_device(device)
    described = {one.name: one for one in read_devices(devices)}
    if device not in described:
        raise Misuse(f"expected one of the devices of {devices}: {', '.join(described)}; found {device!r}")
    return described[device].reach()


def read_model(path: Path, shape: list[str] | None) -> Model:
    """The model of a command line."""
    return load_model(path, parse_shapes(shape or []))


def read_tasks(
    path: Path | None, operator: str | None, shape: list[str] | None, target: Target
) -> tuple[TuningTask, ...]:
    """The tasks of a model file or of one operator. Raises Misuse unless exactly one of the two is given."""
    if (path is None) == (operator is None):
        raise Misuse(
            "name a model file or one operator with --op; " + ("found both" if path else "found neither")
        )
    if operator is not None:
        return (operator_task(operator, target),)
    assert path is not None
    return extract_tasks(read_model(path, shape), target)
