"""Axes along which inputs may be padded with zeros and outputs cut, found by comparing runs of ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.deployment.dynamic_reference import DynamicReference
from autotune.deployment.referee import judge
from autotune.deployment.shape_dispatch import cut, padded
from autotune.models.dynamic_inputs import DynamicAxis, DynamicInputs, Sizes
from autotune.models.shape_plan import OutputDim, Padding
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError

Array = npt.NDArray[Any]

_TIMEOUT_SECS = 600.0
_SEED = 0


@dataclass(frozen=True, slots=True)
class PaddingStudy:
    """For each axis its `Padding`, None where padding is not right; the dimensions of outputs that depend on axes."""

    paddings: tuple[Padding | None, ...]
    outputs: tuple[OutputDim, ...]


def study_padding(
    path: Path, inputs: DynamicInputs, threads: int, server: ForkServer | None = None
) -> PaddingStudy:
    """Compares ONNX Runtime's outputs for inputs that are padded with those for the same inputs as they are.

    For each axis, over several sizes and draws, up to what rounding explains. Runs in a process of its own; server:
    forks it, by default one of its own. Raises AutotuneError where ONNX Runtime does not run the model at its sizes.
    """
    with lasting_worker(WorkerNeeds(__name__, kernel_threads(threads)), server) as pool:
        [reply] = pool.map([(Call(_study, (path, inputs, threads)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected ONNX Runtime to run {path.name}; found {reply.message}", code="AT704")
    found: PaddingStudy = reply.value
    return found


def _study(path: Path, inputs: DynamicInputs, threads: int) -> PaddingStudy:
    with DynamicReference(path, inputs, threads, _SEED) as reference:
        by_axis = [_output_dims(reference, inputs, number) for number in range(len(inputs.axes))]
        places = [(one.output, one.dim) for dims in by_axis for one in dims or ()]
        paddings = []
        for number, dims in enumerate(by_axis):
            shared = dims is None or any(places.count((one.output, one.dim)) > 1 for one in dims)
            paddings.append(None if dims is None or shared else _padding(reference, inputs, number, dims))
    outputs = [
        one
        for dims, padding in zip(by_axis, paddings, strict=True)
        for one in dims or ()
        if padding is not None
    ]
    return PaddingStudy(tuple(paddings), tuple(outputs))


def _output_dims(
    reference: DynamicReference, inputs: DynamicInputs, axis: int
) -> tuple[OutputDim, ...] | None:
    """The dimensions of outputs that change with an axis; None where they do not change in proportion to it."""
    sizes = _three(inputs.axes[axis])
    shapes = [
        [one.shape for one in reference.run(reference.draw(_with(inputs.low, axis, size), _SEED))]
        for size in sizes
    ]
    found = []
    for output, shapes_of_one in enumerate(zip(*shapes, strict=True)):
        if len({len(shape) for shape in shapes_of_one}) > 1:
            return None
        for dim, seen in enumerate(zip(*shapes_of_one, strict=True)):
            if len(set(seen)) > 1:
                rise, run = seen[-1] - seen[0], sizes[-1] - sizes[0]
                common = math.gcd(rise, run)
                rise, run = rise // common, run // common
                one = OutputDim(output, dim, axis, rise, run, seen[0] - sizes[0] * rise // run)
                if [one.at(_with(inputs.low, axis, size)) for size in sizes] != list(seen):
                    return None
                found.append(one)
    return tuple(found)


def _padding(
    reference: DynamicReference, inputs: DynamicInputs, axis: int, dims: Sequence[OutputDim]
) -> Padding | None:
    if not all(_is_right(reference, inputs, dims, pair) for pair in _pairs(inputs, axis)):
        return None
    _, middle, high = (_with(inputs.low, axis, size) for size in _three(inputs.axes[axis]))
    masks = [
        number
        for number, _ in inputs.axes[axis].places
        if not _is_right(reference, inputs, dims, (middle, high), zeroed=number)
    ]
    return Padding(tuple(masks))


def _is_right(
    reference: DynamicReference,
    inputs: DynamicInputs,
    dims: Sequence[OutputDim],
    pair: tuple[Sizes, Sizes],
    zeroed: int | None = None,
) -> bool:
    """Whether the outputs at the first sizes are those of inputs padded to the second, cut."""
    small, large = pair
    seed = sum(small)
    arrays = reference.draw(small, seed)
    if zeroed is not None:
        arrays[zeroed] = np.zeros_like(arrays[zeroed])
    outputs = reference.run(padded(arrays, inputs.at(large)))
    return judge(cut(outputs, dims, small), reference.expected(arrays, seed)).mistake is None


def _pairs(inputs: DynamicInputs, axis: int) -> Iterator[tuple[Sizes, Sizes]]:
    """Sizes of all axes, and the same with a larger one of this axis."""
    sizes = inputs.axes[axis].sizes.sizes
    last, middle = len(sizes) - 1, len(sizes) // 2
    rng = np.random.default_rng(_SEED)
    for few, many in dict.fromkeys(
        [(0, last), (0, 1), (middle, last), (last - 1, last), (last // 3, middle)]
    ):
        if few < many:
            others = tuple(int(rng.choice(one.sizes.sizes)) for one in inputs.axes)
            yield _with(others, axis, sizes[few]), _with(others, axis, sizes[many])


def _three(axis: DynamicAxis) -> tuple[int, int, int]:
    """The smallest size, one in the middle, and the largest."""
    sizes = axis.sizes.sizes
    return sizes[0], sizes[len(sizes) // 2], sizes[-1]


def _with(sizes: Sizes, axis: int, size: int) -> Sizes:
    return (*sizes[:axis], size, *sizes[axis + 1 :])
