"""`autotune bench`: the tuned model beside other engines on one device."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    ModelArgument,
    OptionalLogOption,
    SamplesOption,
    ShapeOption,
)
from autotune.cli.comparison_tables import comparison_tables, fastest_text
from autotune.cli.console import print_json, tell, warn
from autotune.cli.coverage_table import coverage_json, coverage_table, warn_of_gaps
from autotune.cli.inputs import fixed_sizes, reach_device
from autotune.cli.tables import print_table
from autotune.comparison.comparison import PairResult, collect, compare_each
from autotune.comparison.entrants import AUTOTUNE
from autotune.comparison.fastest import fastest
from autotune.comparison.result import Row
from autotune.comparison.subject import ModelFile
from autotune.deployment.reference_engine import RUNTIMES
from autotune.models.model_format import format_of
from search_spaces import AutotuneError, Misuse


def bench(
    model: ModelArgument,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            help="The file format's runtime (default), untuned (default schedules, no log), or another engine, "
            "as openvino; repeatable.",
        ),
    ] = None,
    log: OptionalLogOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    samples: SamplesOption = None,
    json: JsonOption = False,
) -> None:
    """Run the tuned model, the runtime of its format and others in turns, and check that they compute the same.

    The runtime is ONNX Runtime, PyTorch (.pt2) or TFLite's interpreter. Outputs are always compared with its own,
    without ONNX Runtime's graph optimizations, some of which approximate; where those of the tuned model differ by more
    than rounding explains the exit code is 1. This is autotune compare for one model and one device.
    """
    where, sizes = reach_device(device, devices), fixed_sizes(shape, dim)
    file = ModelFile(model, sizes.shapes, sizes.dims, tuple(samples or ()))
    engines = (AUTOTUNE, RUNTIMES[format_of(model)], *(against or ()))
    [result] = compare_each([file], [where], engines, log, None)
    for notice in result.model.notices:
        warn(notice)
    own = result.rows[0]
    if json and own.measured is not None:
        print_json(_json(result))
    elif not json:
        _print(result, log)
    if own.reason is not None:
        refused = own.code is not None
        raise Misuse(own.reason, code=own.code) if refused else AutotuneError(own.reason, code="AT704")
    if own.mistake is not None:
        raise AutotuneError(
            f"expected the outputs of the model's own runtime, found others: {own.mistake}", code="AT706"
        )


def _print(result: PairResult, log: str | None) -> None:
    built = result.builds.get(AUTOTUNE)
    if built is not None:
        print_table(coverage_table(built.coverage))
        warn_of_gaps(built.coverage, built.runtime_packs)
    comparison = collect([result], log)
    for table in comparison_tables(comparison):
        print_table(table)
    for answer in fastest(comparison):
        tell(fastest_text(answer))


def _json(result: PairResult) -> dict[str, object]:
    own, built = result.rows[0], result.builds[AUTOTUNE]
    assert own.measured is not None
    return {
        "engines": [_engine_json(row, own.measured.p50.secs) for row in result.rows],
        "outputs_equal": own.mistake is None if own.is_checked else None,
        "mistake": own.mistake,
        "max_abs_error": own.measured.max_abs_error,
        "max_rel_error": own.measured.max_rel_error,
        "threads": result.device.threads,
        "coverage": coverage_json(built.coverage),
    }


def _engine_json(row: Row, own_secs: float) -> dict[str, object]:
    found = row.measured
    if found is None:
        return {"name": row.engine, "reason": row.reason}
    return {
        "name": row.engine,
        "latency_secs": found.p50.secs,
        "p90_secs": found.p90.secs,
        "p99_secs": found.p99.secs,
        "load_secs": found.load_secs,
        "peak_memory_bytes": found.peak_memory_bytes,
        "size_bytes": found.size_bytes,
        "runs": len(found.run_secs),
        "speedup_of_autotune": found.p50.secs / own_secs,
        "mistake": row.mistake,
    }
