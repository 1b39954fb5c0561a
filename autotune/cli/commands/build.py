"""`autotune build`: a model compiled with the schedules of a log."""

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
    finite,
)
from autotune.cli.console import ERR, print_json, tell, warn
from autotune.cli.coverage_table import coverage_json, coverage_table, warn_of_gaps
from autotune.cli.inputs import log_to_read, reach_device, read_sized_model
from autotune.cli.output_place import require_file_place
from autotune.cli.tables import TableView, print_table
from autotune.deployment.checked_run import checked_run
from autotune.deployment.compilation import compile
from autotune.deployment.samples import Sample, read_samples
from autotune.deployment.side_by_side import EngineLatency
from autotune.devices.device import Device
from autotune.jobs.durations import show_secs
from autotune.models.dynamic_model import DynamicModel
from autotune.models.model import Model
from search_spaces import AutotuneError
from search_spaces.printable_text import counted
from tuning_logs.selection.schedule_choice import OtherDevices


def build(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.so", help="Where the library goes.")
    ],
    log: OptionalLogOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    max_mb: MaxMbOption = None,
    samples: SamplesOption = None,
    strict: Annotated[
        float | None,
        typer.Option(
            "--strict",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            callback=finite,
            help="Fail where operators without a record of their own take more than this share of the time: 0.05.",
        ),
    ] = None,
    allow_device: Annotated[
        bool, typer.Option("--allow-device", help="Records of other devices may stand in for missing ones.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Build a model with the best schedules of a log, or default ones, say which operators the log covers, and measure
    the result where the device is of this machine."""
    where = reach_device(device, devices)
    require_file_place(output, "--output")
    records = log_to_read(log)
    network = read_sized_model(model, shape, dim, max_mb)
    given = read_samples(samples, network.inputs) if samples else ()
    others = OtherDevices.ALLOWED if allow_device else OtherDevices.REFUSED
    linker = None if where.is_here else where.linker
    built = compile(network, where.target, records, where.fingerprint, others, linker=linker)
    if strict is not None and built.coverage.missed_share > strict:
        ERR.print(TableView(coverage_table(built.coverage)))
        raise AutotuneError(
            f"expected operators without a record of their own to take at most {strict:.1%} of the time, found "
            f"{built.coverage.missed_share:.1%}; tune the model for this device, or raise --strict",
            code="AT707",
        )
    saved = built.save(output, linker)
    if max_mb is not None and saved.stat().st_size > max_mb * 1e6:
        warn(f"{saved} takes {saved.stat().st_size / 1e6:.1f} MB, more than was estimated; lower --max-mb")
    latency = _latency(network, saved, where, given) if where.is_here else None
    warn_of_gaps(built.coverage, built.runtime_packs)
    if json:
        print_json(
            {
                "output": str(output),
                "latency_secs": latency.secs if latency else None,
                "run_secs": list(latency.run_secs) if latency else [],
                "threads": where.threads,
                "missed_share": built.coverage.missed_share,
                "coverage": coverage_json(built.coverage),
            }
        )
        return
    print_table(coverage_table(built.coverage))
    if latency is None:
        tell(f"{output}: for {where.fingerprint.name}, not measured here")
        return
    tell(
        f"{output}: {show_secs(latency.secs)} a run, measured "
        f"(median of {len(latency.run_secs)}, {counted(where.threads, 'thread')})"
    )


def _latency(
    network: Model | DynamicModel, saved: Path, where: Device, samples: tuple[Sample, ...]
) -> EngineLatency:
    """The latency of a saved build. Raises AutotuneError where its outputs are not those of the model's reference."""
    checked = checked_run(network, saved, where, samples)
    for notice in checked.notices:
        warn(notice)
    return checked.trial.latency
