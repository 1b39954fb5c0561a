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
from autotune.devices.device import Device, parse_device
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Cell, Column, Table
from autotune.models.dynamic_model import DynamicModel
from autotune.models.task_extraction import extract_tasks
from autotune.search.latency_estimate import Estimated, ModelEstimate, estimate_model, of_like_devices
from autotune.search.pretrained_model import SHIPPED, load_pretrained
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.record_table import RecordTable
from search_spaces import Misuse, Target
from search_spaces.text_file import read_text
from tuning_logs import DeviceFingerprint


class DeviceCard(msgspec.Struct, frozen=True):
    """The description of a device, as `autotune devices --json` prints it; other members are left alone."""

    target: str
    connection: str
    facts: dict[str, str | int | float | bool | None]


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
    pretrained = load_pretrained(cost_model or SHIPPED, device)
    if pretrained is None:
        raise Misuse(
            f"no cost model ships for devices like {device.name}; name one with --cost-model", code="AT307"
        )
    logs = log or ([] if cost_model else shipped_logs(pretrained.name))
    if not logs:
        raise Misuse(
            "expected --log, the logs that the cost model learned from, say; found none", code="AT304"
        )
    learned = of_like_devices(RecordTable.read(logs), device.fingerprint)
    if not len(learned):
        raise Misuse(
            f"expected records of a device like {device.name} with {device.threads} threads in {', '.join(logs)}, "
            "found none: how fast another device is cannot be told from them",
            code="AT307",
        )
    name = op or (model.stem if model else "")
    estimator = LatencyEstimator.fit(learned)
    if model is not None and has_ranges:
        network = read_dynamic_model(model, shape, dim, max_mb)
        of_sizes = [
            estimate_model(
                " x ".join(map(str, sizes)),
                extract_tasks(one, device.target),
                device.fingerprint,
                pretrained.model,
                estimator,
            )
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
    found = estimate_model(name, tasks, device.fingerprint, pretrained.model, estimator)
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


def shipped_logs(name: str) -> list[str]:
    """The paths of the logs that a shipped model was trained on."""
    return [str(path) for path in sorted((SHIPPED / name).glob("*.jsonl.gz"))]


def read_device_card(path: Path) -> Device:
    """Reads the description of a device that need not be reachable.

    Raises Misuse where the file is not what `autotune devices --json` prints.
    """
    try:
        found = msgspec.json.decode(read_text(path), type=DeviceCard | tuple[DeviceCard, ...])
        card = found if isinstance(found, DeviceCard) else found[0]
        name = str(card.facts.get("cpu_model", card.connection))
        return Device(name, Target.parse(card.target), card.connection, DeviceFingerprint(name, card.facts))
    except (OSError, ValueError, IndexError, RecursionError, msgspec.MsgspecError) as error:
        raise Misuse(
            f"expected what `autotune devices --json` prints in {path}, found: {type(error).__name__}: {error}",
            code="AT401",
        ) from error


def _row(one: Estimated) -> tuple[Cell, ...]:
    interval = f"{show_secs(one.low_secs)} … {show_secs(one.high_secs)}"
    return one.name, str(one.calls), show_secs(one.secs), interval
