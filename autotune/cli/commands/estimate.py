"""`autotune estimate`: the latency of a tuned model, predicted without measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import (
    DimOption,
    JsonOption,
    MaxMbOption,
    OperatorOption,
    OptionalModelArgument,
    ShapeOption,
)
from autotune.cli.console import print_json, tell
from autotune.cli.inputs import (
    check_model,
    fixed_sizes,
    is_for_ranges,
    read_dynamic_model,
    read_tasks,
)
from autotune.cli.tables import print_table
from autotune.cli.values import check_choice
from autotune.devices.device import Device
from autotune.devices.device_card import read_device_card
from autotune.devices.device_url import parse_device
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Cell, Column, Table
from autotune.models.dynamic_model import DynamicModel
from autotune.models.task_extraction import extract_tasks
from autotune.search.latency_estimate import Estimated, ModelEstimate
from autotune.search.tuned_estimator import tuned_estimator


def estimate(
    context: typer.Context,
    model: OptionalModelArgument = None,
    op: OperatorOption = None,
    cost_model: Annotated[
        Path | None,
        typer.Option("--cost-model", metavar="FILE", help="Default: the one that ships for such a device."),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log", help="What tuning reached; default: the logs that the shipped model learned from."
        ),
    ] = None,
    device_card: Annotated[
        Path | None,
        typer.Option(
            "--device-card",
            metavar="FILE.json",
            help="The device, as `autotune devices --json` prints it there; default: this machine.",
        ),
    ] = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    max_mb: MaxMbOption = None,
    json: JsonOption = False,
) -> None:
    """Estimate a model's latency on a device once it is tuned, task by task, with intervals of 90 %.

    Nothing is measured: the tasks' best configs by the cost model are held against what tuning has reached in the logs.
    A model is built and run once, to be sure that it can be tuned; see `autotune check`.
    """
    check_choice(model, op)
    has_ranges = is_for_ranges(shape, dim)
    device = parse_device("local") if device_card is None else read_device_card(device_card)
    tuned = tuned_estimator(device, cost_model, log or ())
    name = op or (model.stem if model else "")
    if model is not None and has_ranges:
        network = read_dynamic_model(model, shape, dim, max_mb)
        of_sizes = [
            tuned.estimate(" x ".join(map(str, sizes)), extract_tasks(one, device.target))
            for sizes, one in network.variants.items()
        ]
        if json:
            print_json(msgspec.to_builtins(of_sizes))
        else:
            _print_sizes(network, of_sizes, device)
        return
    sizes = fixed_sizes(shape, dim)
    tasks = read_tasks(model, op, sizes, device.target)
    if model is not None:
        check_model(model, sizes, context.obj)
    found = tuned.estimate(name, tasks)
    if json:
        print_json(msgspec.to_builtins(found))
        return
    columns = (Column("task", 9, 20), Column("calls", 2), Column("estimate", 8), Column("90 % interval", 7))
    rows = tuple(map(_row, found.tasks))
    print_table(Table(f"{name} on {device.name}, tuned", columns, rows))
    total = found.total
    between = f"between {show_secs(total.low_secs)} and {show_secs(total.high_secs)}"
    off = f"half of the held-out tasks were off by a factor of {found.error:.2f} or less"
    tell(f"{name}: {show_secs(total.secs)}, {between}; {off}")


def _print_sizes(model: DynamicModel, found: Sequence[ModelEstimate], device: Device) -> None:
    """Prints a row for each variant."""
    axes = " x ".join(axis.name for axis in model.plan.inputs.axes)
    columns = (Column(axes, 9), Column("estimate", 8), Column("90 % interval", 7))
    rows = tuple((one.total.name, *_row(one.total)[2:]) for one in found)
    print_table(Table(f"{model.name} on {device.name}, tuned", columns, rows))


def _row(one: Estimated) -> tuple[Cell, ...]:
    interval = f"{show_secs(one.low_secs)} … {show_secs(one.high_secs)}"
    return one.name, str(one.calls), show_secs(one.secs), interval
