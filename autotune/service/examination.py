"""The examination of an uploaded model: its operators, and the latency that tuning is expected to reach."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from autotune.models import onnx_file
from autotune.models.model import Model, UnsupportedOperators, load_model
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_passes.rewriting import subgraphs
from autotune.models.task_extraction import extract_tasks
from autotune.search.tuned_estimator import TunedEstimator
from autotune.service.archive import unpack
from autotune.service.documents import (
    Examination,
    InputDocument,
    LatencyForecast,
    OperatorCount,
    Refusal,
    UnsupportedOperator,
)
from autotune.service.limits import ExaminationLimits
from autotune.service.model_shelf import ARCHIVE, unpacked_model
from search_spaces.errors import AutotuneError, Misuse, last_line
from search_spaces.target import Target

# Free dimensions, and shapes that do not fit: the order of a job gives others.
_NEEDS_SIZES = ("AT104", "AT105")


@dataclass(frozen=True)
class ExaminedDevice:
    """A device to tell a forecast of. target: None where it is not known; estimator: or why there is none."""

    name: str
    target: str | None
    estimator: TunedEstimator | Refusal


def examine(
    path: Path,
    scratch: Path,
    devices: Sequence[ExaminedDevice],
    limits: ExaminationLimits,
) -> Iterator[Examination]:
    """Yields what is known of a model so far, the last time with all of it.

    scratch: where an archive is unpacked.
    """
    began = time.monotonic()
    found = Examination()
    try:
        for found in _steps(path, scratch, devices, limits):
            yield replace(found, secs=time.monotonic() - began)
    except UnsupportedOperators as error:
        named = tuple(UnsupportedOperator(name, nodes) for name, nodes in error.nodes.items())
        found = replace(found, unsupported=named, refusal=Refusal(error.code, str(error)))
    except AutotuneError as error:
        if error.code in _NEEDS_SIZES:
            found = replace(found, notices=(*found.notices, str(error)))
        else:
            found = replace(found, refusal=Refusal(error.code, str(error)))
    except (MemoryError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        message = f"the model could not be imported: {type(error).__name__}: {last_line(error)}"
        found = replace(found, refusal=Refusal("AT106", message))
    yield replace(found, secs=time.monotonic() - began, is_complete=True)


def _steps(
    path: Path,
    scratch: Path,
    devices: Sequence[ExaminedDevice],
    limits: ExaminationLimits,
) -> Iterator[Examination]:
    if path.suffix == ARCHIVE:
        unpack(path, scratch / "content", limits)
        inside = unpacked_model(scratch)
        if inside is None:
            raise Misuse(
                "expected an archive with one .onnx file and the files of its weights, found none or several",
                code="AT102",
            )
        path = inside
    found = Examination()
    if format_of(path) is ModelFormat.ONNX:
        found = Examination(operators=_operators(path, limits))
        yield found
    model = load_model(path)
    tasks: dict[str, int] = {}
    found = replace(
        found,
        inputs=tuple(InputDocument(one.name, one.shape, one.dtype) for one in model.inputs),
        notices=model.notices,
    )
    yield found
    for one in devices:
        forecast = _forecast(model, one, tasks)
        found = replace(
            found, tasks=max(tasks.values(), default=None), forecasts=(*found.forecasts, forecast)
        )
        yield found


def _forecast(model: Model, device: ExaminedDevice, tasks: dict[str, int]) -> LatencyForecast:
    """The forecast of a device; the number of tasks there is noted, of devices without an estimator once."""
    name, estimator = device.name, device.estimator
    try:
        if isinstance(estimator, Refusal):
            if device.target is not None and not tasks:
                tasks[name] = len(extract_tasks(model, Target.parse(device.target)))
            return LatencyForecast(name, refusal=estimator)
        extracted = extract_tasks(model, estimator.device.target)
        tasks[name] = len(extracted)
        total = estimator.estimate(model.name, extracted).total
    except AutotuneError as error:
        return LatencyForecast(name, refusal=Refusal(error.code, str(error)))
    return LatencyForecast(name, total.secs, total.low_secs, total.high_secs)


def _operators(path: Path, limits: ExaminationLimits) -> tuple[OperatorCount, ...]:
    """The operators of an ONNX file, the most frequent first. Raises Misuse for a graph beyond the limits."""
    graph = onnx_file.read_graph(path)
    counts: Counter[str] = Counter()
    level: list[onnx.GraphProto] = [graph]
    for _ in range(limits.nesting):
        below: list[onnx.GraphProto] = []
        for one in level:
            for node in one.node:
                counts[f"{node.domain}.{node.op_type}" if node.domain else node.op_type] += 1
                below += subgraphs(node)
            if counts.total() > limits.nodes:
                raise Misuse(f"expected a graph of at most {limits.nodes} nodes, found more", code="AT905")
        level = below
    if level:
        raise Misuse(
            f"expected branches and loops nested at most {limits.nesting} deep, found deeper ones",
            code="AT905",
        )
    return tuple(OperatorCount(name, count) for name, count in counts.most_common())
