"""`autotune compare`: engines on models and devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import DimOption, JsonOption, OptionalLogOption, SamplesOption, ShapeOption
from autotune.cli.comparison_arguments import (
    CapacityOption,
    DollarsOption,
    LatencyOption,
    PercentileOption,
    PriceOption,
    ThroughputOption,
    has_limit,
    judge,
    read_limits,
    read_prices,
    split_names,
)
from autotune.cli.comparison_tables import (
    choice_text,
    comparison_json,
    comparison_tables,
    fastest_text,
    verdict_tables,
)
from autotune.cli.console import note, print_json, tell, warn
from autotune.cli.inputs import fixed_sizes, reach_device
from autotune.cli.output_place import require_file_place
from autotune.cli.tables import print_table
from autotune.comparison.comparison import ComparisonSettings, PairResult, collect, compare_each
from autotune.comparison.fastest import fastest
from autotune.comparison.limits import with_prices
from autotune.comparison.result_file import write_comparison
from autotune.comparison.subject import ModelFile
from autotune.devices.connection import distinct_name


def compare(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Models: .onnx, .pt2 or .tflite files.")
    ],
    devices: Annotated[
        list[str] | None,
        typer.Option(
            "--devices",
            metavar="A,B",
            help="Devices, as in local,local?threads=1, or names in --device-file; default: local.",
        ),
    ] = None,
    device_file: Annotated[
        Path | None,
        typer.Option("--device-file", metavar="FILE.toml", help="A file that describes devices by name."),
    ] = None,
    engines: Annotated[
        list[str] | None,
        typer.Option(
            "--engines",
            metavar="A,B",
            help="autotune (with --log), untuned, onnxruntime, openvino, ncnn, torch, tflite, or an engine of another "
            "package; on NVIDIA GPUs onnxruntime-cuda, tensorrt, torch-cuda, torch-compiled; default: all that take "
            "the model's format.",
        ),
    ] = None,
    log: OptionalLogOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    samples: SamplesOption = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=3, max=10_000, help="Turns of 0.2 s of each engine.")
    ] = 10,
    timeout_secs: Annotated[
        float,
        typer.Option(
            "--timeout-secs", min=1.0, max=86_400.0, help="A call of an engine that takes longer hangs."
        ),
    ] = 600.0,
    latency_ms: LatencyOption = None,
    throughput: ThroughputOption = None,
    dollars: DollarsOption = None,
    percentile: PercentileOption = 99.0,
    price: PriceOption = None,
    capacity: CapacityOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.json", help="Keeps all measurements, for autotune verdict."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare engines on models and devices: each in a process of its own, in turns, outputs checked.

    The answer names the fastest engine of each model and device. An engine that does not run a model has a row with the
    reason. --shape, --dim and --samples are of all models. With a limit, as --latency-ms, the verdict follows.
    """
    limits, prices = read_limits(latency_ms, throughput, dollars, percentile), read_prices(price or ())
    sizes = fixed_sizes(shape, dim)
    files = [ModelFile(path, sizes.shapes, sizes.dims, tuple(samples or ())) for path in models]
    where = [reach_device(name, device_file) for name in split_names(devices or ["local"])]
    with_prices({}, prices, (distinct_name(one.name, one.connection) for one in where))
    settings = ComparisonSettings(rounds, timeout_secs=timeout_secs)
    if output is not None:
        require_file_place(output, "--output")
    results: list[PairResult] = []
    for result in compare_each(files, where, split_names(engines or ()), log, settings):
        _show_progress(result, results)
        results.append(result)
    comparison = collect(results, log)
    if output is not None:
        write_comparison(output, comparison)
    judged = judge(comparison, limits, prices, capacity or ()) if has_limit(limits) else None
    if json:
        print_json(comparison_json(comparison, judged))
        return
    for table in comparison_tables(comparison):
        print_table(table)
    for answer in fastest(comparison):
        tell(fastest_text(answer))
    for table in verdict_tables(judged) if judged else ():
        print_table(table)
    for found in judged.models if judged else ():
        tell(choice_text(found))


def _show_progress(result: PairResult, before: list[PairResult]) -> None:
    if all(one.model.name != result.model.name for one in before):
        for notice in result.model.notices:
            warn(f"{result.model.name}: {notice}")
    ran = sum(row.measured is not None for row in result.rows)
    note(f"{result.model.name} on {result.device.name}: {ran} of {len(result.rows)} engines ran", "dim")
