"""`autotune build`: a model compiled with the schedules of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.console import ERR, OUT, print_json
from autotune.cli.coverage_table import coverage_json, coverage_table
from autotune.cli.options import show_secs
from autotune.cli.subject import DeviceOption, JsonOption, LogOption, ModelArgument, ShapeOption, read_model
from autotune.compilation import Build, compile
from autotune.device import parse_device
from autotune.executable import SavedModel
from autotune.model_comparison import measure
from search_spaces import Misuse
from tuning_logs import TuningLog


def build(
    model: ModelArgument,
    log: LogOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.so", help="Where the library goes.")
    ],
    device: DeviceOption = "local",
    shape: ShapeOption = None,
    json: JsonOption = False,
) -> None:
    """Build a model with the best schedules of a log, say which operators they cover, and measure the result."""
    where = parse_device(device)
    if output.is_dir():
        raise Misuse(f"--output is the file of the library; found the folder {output}")
    records = TuningLog.read(log)
    network = read_model(model, shape)
    built = compile(network, where.target, records, where.fingerprint)
    saved = built.save(output)
    latency = measure(SavedModel(saved.absolute()), network.inputs, where.threads, seed=0)
    if json:
        print_json(
            {
                "output": str(output),
                "latency_secs": latency.secs,
                "run_secs": list(latency.run_secs),
                "threads": where.threads,
                "coverage": coverage_json(built.coverage),
            }
        )
        return
    OUT.print(coverage_table(built.coverage))
    warn_of_gaps(built)
    OUT.print(
        f"{output}: {show_secs(latency.secs)} a run, measured "
        f"(median of {len(latency.run_secs)}, {where.threads} threads)"
    )


def warn_of_gaps(built: Build) -> None:
    """Says loudly what a build could not make fast."""
    untuned = built.coverage.untuned
    if untuned:
        names = ", ".join(row.name for row in untuned)
        ERR.print(
            f"[bold yellow]{len(untuned)} operators run untuned, which may be very slow:[/bold yellow] {names}"
        )
    if built.runtime_packs:
        ERR.print(f"[yellow]{built.runtime_packs} weights are packed anew in every run[/yellow]")
