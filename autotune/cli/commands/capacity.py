"""`autotune capacity`: the throughput of a model within a latency limit, and its price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    OptionalLogOption,
    SeedOption,
    ShapeOption,
    finite,
)
from autotune.cli.console import note, print_json, tell, warn
from autotune.cli.inputs import fixed_sizes, log_to_read, reach_device, read_model
from autotune.cli.output_place import require_file_place
from autotune.cli.tables import print_table
from autotune.jobs.document import encode_document
from autotune.jobs.durations import parse_secs, show_secs
from autotune.jobs.table import Column, Table
from autotune.models.model import Model
from autotune.throughput.capacity import BATCHES, CapacityOptions
from autotune.throughput.capacity import capacity as find_capacity
from autotune.throughput.capacity_result import CapacityResult, result_document
from autotune.throughput.inference_protocol import is_url
from autotune.throughput.load_point import LoadPoint
from autotune.throughput.load_run import End
from autotune.throughput.package_file import is_package
from search_spaces import AutotuneError, Misuse
from tuning_logs.atomic_file import atomically

_MOST_DIGITS = 6


def capacity(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A built model (.so), a package (.whl, -server_….tar.gz, or a folder), a model file (.onnx, .pt2, "
            ".tflite) to build, or the URL of a model at a running server: http://localhost:8000/v2/models/NAME.",
        ),
    ],
    p99_ms: Annotated[
        float,
        typer.Option(
            "--p99-ms", metavar="MS", callback=finite, help="The limit of the 99th percentile of latency."
        ),
    ],
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour", metavar="DOLLARS", min=0.0, callback=finite, help="Default: the device's."
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option("--batch", metavar="SIZES", help="Batch sizes to try, where the model's is free."),
    ] = ",".join(map(str, BATCHES)),
    batch_wait_ms: Annotated[
        float,
        typer.Option(
            "--batch-wait-ms", metavar="MS", callback=finite, help="A batch that is not full waits so long."
        ),
    ] = 0.0,
    log: OptionalLogOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    time: Annotated[
        str, typer.Option("--time", metavar="DURATION", help="Time to measure, without builds.")
    ] = "60s",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.json", help="Also write the result as a JSON document."),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Find how many requests a second a model serves while the 99th percentile of their latency holds a limit.

    Searches instances × kernel threads × batch, confirms the best under open-loop Poisson load, and shows latency
    against load and the price of a million requests. Where no load holds the limit the exit code is 1.
    """
    where = reach_device(device, devices)
    options = CapacityOptions(_sizes(batch), batch_wait_ms, where, log_to_read(log), seed, note)
    subject: str | Model = model
    if not model.endswith(".so") and not is_url(model) and not is_package(Path(model)):
        subject = read_model(Path(model), fixed_sizes(shape, dim))
    elif shape or dim or log:
        raise Misuse(f"--shape, --dim and --log are for builds; found {model}, which is built", code="AT805")
    if output is not None:
        require_file_place(output, "--output")
    result = find_capacity(subject, p99_ms, price_per_hour, parse_secs(time), options)
    document = result_document(result)
    if output is not None:
        with atomically(output) as scratch:
            scratch.write_bytes(encode_document(document))
    for notice in result.notices:
        warn(notice)
    print_json(document) if json else _print(result)
    if result.expected_per_second == 0.0:
        raise AutotuneError(_failure(result), code="AT742")


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and part.isascii() and len(part) < _MOST_DIGITS for part in parts):
        raise Misuse(f"batch sizes look like 1,2,4,8; found {text!r}", code="AT741")
    return tuple(int(part) for part in parts)


def _print(result: CapacityResult) -> None:
    limit = show_secs(result.p99_limit_secs)
    if result.screened:
        _print_screened(result)
    if result.curve:
        title = "Latency against offered load" + ("" if result.setup is None else f", {result.setup}")
        columns = [
            Column(name)
            for name in ("load/s", "p50", "p90", "p99", "p99, 95 % interval", "batch", f"holds {limit}")
        ]
        print_table(Table(title, tuple(columns), tuple(map(_row, result.curve))))
    if result.expected_per_second == 0.0:
        return
    served = "" if result.setup is None else f" with {result.setup}"
    tell(f"Served by {result.served_by}")
    tell(
        f"{result.throughput_per_second:.4g} requests a second hold p99 ≤ {limit} for sure (95 %){served}; "
        f"at {result.expected_per_second:.4g} p99 is about the limit"
    )
    if result.gain is not None and result.one_after_the_other != result.setup:
        tell(
            f"{result.gain:.2f}× one request after the other ({result.one_after_the_other}: "
            f"{result.one_after_the_other_per_second:.4g} a second)"
        )
    if result.dollars_per_million is not None:
        tell(
            f"{result.dollars_per_million:.4g} dollars per million requests, at {result.price_per_hour:g} an hour"
        )


def _print_screened(result: CapacityResult) -> None:
    columns = (
        Column("setup", 3),
        Column("saturated/s", 2),
        Column("expected to hold/s", 2),
        Column("", 0, 12),
    )
    rows = tuple(
        (
            str(one.setup),
            f"{one.saturated_per_second:.4g}" if one.saturated_per_second else "–",
            "–" if one.predicted_per_second is None else f"{one.predicted_per_second:.4g}",
            one.reason,
        )
        for one in result.screened
    )
    print_table(Table("Setups by service times and simulation", columns, rows))


def _row(point: LoadPoint) -> tuple[str, ...]:
    return (
        f"{point.offered_per_second:.4g}",
        show_secs(point.p50.secs),
        show_secs(point.p90.secs),
        show_secs(point.p99.secs),
        f"{show_secs(point.p99.low_secs)} … {show_secs(point.p99.high_secs)}",
        f"{point.mean_batch:.1f}",
        _verdict(point),
    )


def _verdict(point: LoadPoint) -> str:
    if point.end is not End.FINISHED:
        return f"no: {point.end.value}"
    return "yes" if point.holds else "perhaps" if point.meets else "no"


def _failure(result: CapacityResult) -> str:
    least = min(result.runs, key=lambda one: one.offered_per_second, default=None)
    if least is not None:
        found = f"{show_secs(least.p99.secs)} at {least.offered_per_second:.3g} requests a second"
    elif result.predicted_per_second > 0.0:
        found = (
            f"too little time for a run with the {result.predicted_per_second:.3g} requests a second expected"
        )
    else:
        found = "no setup whose calls alone are within it"
    return (
        f"expected a load with a 99th percentile within {show_secs(result.p99_limit_secs)}; found {found}. "
        "Raise --p99-ms or --time, end other programs, or tune the model"
    )
