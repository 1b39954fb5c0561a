"""`autotune bench`: the tuned model beside other engines."""

from __future__ import annotations

import tempfile
from pathlib import Path
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
from autotune.cli.console import print_json, tell
from autotune.cli.coverage_table import coverage_json, coverage_table, warn_of_gaps
from autotune.cli.inputs import fixed_sizes, log_to_read, reach_device, read_model
from autotune.cli.tables import print_table
from autotune.deployment.compilation import compile
from autotune.deployment.engine import Engine
from autotune.deployment.engines import find_engine
from autotune.deployment.executable import SavedModel
from autotune.deployment.model_runner import SEED
from autotune.deployment.reference import find_referee, reference_for
from autotune.deployment.reference_engine import reference_engine
from autotune.deployment.samples import read_samples
from autotune.deployment.side_by_side import ModelComparison, TimingSettings, side_by_side
from autotune.jobs.durations import show_secs
from autotune.jobs.table import Column, Table
from autotune.models.model import Model
from search_spaces import AutotuneError, Misuse
from tuning_logs import TuningLog

_UNTUNED = "untuned"


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
    without ONNX Runtime's graph optimizations, some of which approximate; where they differ by more than rounding
    explains the exit code is 1.
    """
    where = reach_device(device, devices)
    if not where.is_here:
        raise Misuse(
            f"whole models run on this machine only; found {device!r}, which is elsewhere", code="AT708"
        )
    network = read_model(model, fixed_sizes(shape, dim))
    given = read_samples(samples or (), network.inputs)
    peer = _peer(network, where.threads)
    others = dict.fromkeys(against or ())
    rivals = [
        find_engine(name, network, where.threads) for name in others if name not in (peer.name, _UNTUNED)
    ]
    built = compile(network, where.target, log_to_read(log), where.fingerprint)
    with tempfile.TemporaryDirectory(prefix="autotune-bench-") as scratch:
        tuned = SavedModel(built.save(Path(scratch) / "tuned.so"), "autotune", where.threads)
        engines: list[Engine] = [tuned, peer, *rivals]
        if _UNTUNED in others:
            untuned = compile(network, where.target, TuningLog.in_memory())
            engines.append(
                SavedModel(untuned.save(Path(scratch) / "untuned.so"), "TVM untuned", where.threads)
            )
        reference = reference_for(network.path, network.shapes, where.threads)
        referee = find_referee(reference, network.inputs, SEED, samples=given)
        settings = TimingSettings(network.inputs, where.threads, seed=SEED)
        result = side_by_side(engines, settings, referee)
    if json:
        print_json({**_json(result), "threads": where.threads, "coverage": coverage_json(built.coverage)})
    else:
        print_table(coverage_table(built.coverage))
        warn_of_gaps(built)
        _print(result, where.threads, peer)
    if result.mistake:
        raise AutotuneError(
            f"expected the outputs of {peer.name}, found others: {result.mistake}", code="AT706"
        )


def _peer(network: Model, threads: int) -> Engine:
    found = reference_engine(network, threads)
    if found is None:
        raise Misuse(
            f"expected the runtime of {network.format.value} files to compare with; none is installed. "
            "Install it: pip install ai-edge-litert",
            code="AT802",
        )
    return found


def _print(result: ModelComparison, threads: int, peer: Engine) -> None:
    rows = tuple(
        (each.name, show_secs(each.secs), f"{ratio:.2f}×", str(len(each.run_secs)))
        for each, ratio in zip(result.latencies, result.ratios, strict=True)
    )
    columns = (
        Column("engine", 9),
        Column("latency", 8),
        Column("autotune is faster by", 7),
        Column("runs", 2),
    )
    print_table(Table(f"Latency of one run, {threads} threads, engines in turns, medians", columns, rows))
    verdict = "equal within rounding" if result.mistake is None else "DIFFERENT"
    tell(
        f"outputs against {peer.name}: {verdict} "
        f"(max abs error {result.check.max_abs_error:.1e}, max rel error {result.check.max_rel_error:.1e})"
    )


def _json(result: ModelComparison) -> dict[str, object]:
    return {
        "engines": [
            {
                "name": each.name,
                "latency_secs": each.secs,
                "runs": len(each.run_secs),
                "speedup_of_autotune": ratio,
            }
            for each, ratio in zip(result.latencies, result.ratios, strict=True)
        ],
        "outputs_equal": result.mistake is None,
        "mistake": result.mistake,
        "max_abs_error": result.check.max_abs_error,
        "max_rel_error": result.check.max_rel_error,
    }
