"""`autotune check`: the preflight of a model."""

from __future__ import annotations

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    ModelArgument,
    SamplesOption,
    ShapeOption,
)
from autotune.cli.console import print_json, tell, warn
from autotune.cli.inputs import fixed_sizes, reach_device, read_model
from autotune.cli.tables import print_table
from autotune.deployment.preflight import Preflight
from autotune.deployment.preflight import check as check_model
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Column, Table


def check(
    context: typer.Context,
    model: ModelArgument,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    samples: SamplesOption = None,
    json: JsonOption = False,
) -> None:
    """Check that a model can be built, and that the build computes what its own runtime computes.

    It is built without tuning and run once, in seconds; every job begins with it. Where the model fails, the message
    names the node of the file, and the exit code is 2.
    """
    where = reach_device(device, devices)
    network = read_model(model, fixed_sizes(shape, dim))
    found = check_model(network, where, context.obj, samples or ())
    if json:
        print_json(_json(found))
        return
    for notice in found.notices:
        warn(notice)
    rows = tuple((step, show_secs(secs)) for step, secs in found.secs.items())
    print_table(
        Table(f"Preflight of {model.name} on {where.name}", (Column("step", 9), Column("time", 8)), rows)
    )
    operators = sum(row.calls for row in found.coverage.rows)
    tell(
        f"{operators} calls of {len(found.coverage.rows)} operators, {show_secs(found.latency.secs)} a run untuned"
    )
    if found.verdict is not None:
        error = found.verdict.check
        tell(
            "outputs against the reference: equal within rounding "
            f"(max abs error {error.max_abs_error:.1e}, max rel error {error.max_rel_error:.1e})"
        )


def _json(found: Preflight) -> dict[str, object]:
    verdict = found.verdict
    return {
        "steps": dict(found.secs),
        "operators": len(found.coverage.rows),
        "calls": sum(row.calls for row in found.coverage.rows),
        "untuned_secs": found.latency.secs,
        "inputs": [{"name": one.name, "shape": list(one.shape), "dtype": one.dtype} for one in found.inputs],
        "outputs_equal": None if verdict is None else verdict.mistake is None,
        "max_abs_error": None if verdict is None else verdict.check.max_abs_error,
        "max_rel_error": None if verdict is None else verdict.check.max_rel_error,
        "notices": list(found.notices),
    }
