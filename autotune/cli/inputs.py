"""Readers of model files and operators that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from autotune.cli.console import warn
from autotune.cli.values import check_choice, parse_dims, parse_shapes
from autotune.deployment.preflight import Preflight, check
from autotune.deployment.shape_planning import load_dynamic_model, open_model
from autotune.devices.device import Device
from autotune.devices.device_file import find_device
from autotune.devices.device_url import parse_device
from autotune.models.dynamic_model import DynamicModel
from autotune.models.model import Model, load_model
from autotune.models.onnx_file import FixedSizes
from autotune.models.operators import operator_task
from autotune.models.size_range import has_ranges, largest
from autotune.models.task_extraction import extract_tasks
from autotune.runners.workers import Workers
from autotune.workers.fork_server import ForkServer
from search_spaces import Misuse, Target, TuningTask
from tuning_logs import RecordStore, TuningLog, read_log

T = TypeVar("T", Model, DynamicModel, "Model | DynamicModel", Preflight)


def fixed_sizes(shape: list[str] | None, dim: list[str] | None) -> FixedSizes:
    """The values of --shape and --dim. Raises Misuse for ranges."""
    shapes, dims = parse_shapes(shape or []), parse_dims(dim or [])
    if has_ranges(shapes, dims):
        raise Misuse(
            "this command takes one size for each dimension; found a range. Name one of its sizes",
            code="AT105",
        )
    sizes = {name: tuple(map(largest, given)) for name, given in shapes.items()}
    return FixedSizes(sizes, {name: largest(size) for name, size in dims.items()})


def read_model(path: Path, sizes: FixedSizes) -> Model:
    """Reads a model file with the sizes of a command line; shows what was decided for the user."""
    return _with_notices_shown(load_model(path, sizes.shapes, sizes.dims))


def reach_device(name: str, file: Path | None, workers: Workers | None = None) -> Device:
    """The device of a command line; shows what limits it. workers: reach those of a cluster.

    Raises AutotuneError where it cannot be reached."""
    found = find_device(name, file, workers.reach if workers else parse_device)
    if found.notice:
        warn(found.notice)
    return found


def log_to_read(where: str | None) -> RecordStore:
    """The tuning log of a build; an empty one where none is named."""
    return TuningLog.in_memory() if where is None else read_log(where)


def is_for_ranges(shape: list[str] | None, dim: list[str] | None) -> bool:
    """Whether --shape or --dim has a range."""
    return has_ranges(parse_shapes(shape or []), parse_dims(dim or []))


def read_sized_model(
    path: Path, shape: list[str] | None, dim: list[str] | None, max_mb: float | None
) -> Model | DynamicModel:
    """Reads a model file with sizes or ranges of a command line; shows what was decided for the user."""
    return _with_notices_shown(open_model(path, parse_shapes(shape or []), parse_dims(dim or []), max_mb))


def read_dynamic_model(
    path: Path, shape: list[str] | None, dim: list[str] | None, max_mb: float | None
) -> DynamicModel:
    """Reads a model file with ranges of a command line; shows what was decided for the user."""
    return _with_notices_shown(
        load_dynamic_model(path, parse_shapes(shape or []), parse_dims(dim or []), max_mb)
    )


def read_tasks(
    path: Path | None, operator: str | None, sizes: FixedSizes, target: Target
) -> tuple[TuningTask, ...]:
    """The tasks of a model file or of one operator. Raises Misuse unless exactly one of the two is given."""
    check_choice(path, operator)
    if operator is not None:
        return (operator_task(operator, target),)
    assert path is not None
    return extract_tasks(read_model(path, sizes), target)


def check_model(path: Path, sizes: FixedSizes, server: ForkServer) -> Preflight:
    """The preflight of a model file on this machine; shows what could not be compared. Raises Misuse where it fails."""
    return _with_notices_shown(check(load_model(path, sizes.shapes, sizes.dims), server=server))


def _with_notices_shown(found: T) -> T:
    for notice in found.notices:
        warn(notice)
    return found
