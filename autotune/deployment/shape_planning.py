"""Planning of a model with dynamic axes: what may be padded, which sizes are built, whether a fallback is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from autotune.deployment.any_size_check import find_fallback_fault
from autotune.deployment.padding_study import PaddingStudy, study_padding
from autotune.deployment.variant_choice import ChoiceAxis, choose_variants
from autotune.devices.device import Device, local_device
from autotune.models.dynamic_axes import read_dynamic_inputs
from autotune.models.dynamic_inputs import DynamicInputs
from autotune.models.dynamic_model import DynamicModel, import_variants
from autotune.models.model import Model, load_model
from autotune.models.shape_plan import ShapePlan
from autotune.models.size_costs import read_size_costs
from autotune.models.size_range import Size, has_ranges, largest
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import AutotuneError, Misuse

#: Without a limit on the size of the library.
MAX_VARIANTS = 32
_MB = 1e6
# A model with more sizes than these is taken to have some that no variant computes.
_MAX_ENUMERATED = 100_000


def load_dynamic_model(
    path: str | Path,
    shapes: Mapping[str, tuple[Size, ...]] | None = None,
    dims: Mapping[str, Size] | None = None,
    max_mb: float | None = None,
    server: ForkServer | None = None,
) -> DynamicModel:
    """Reads an ONNX file whose inputs have other sizes from call to call, and plans which of them are built.

    shapes, dims: as of `load_model`, with a `SizeRange` where a size differs; max_mb: the largest size of the library,
    by default what `MAX_VARIANTS` variants take. server: forks the processes that compare outputs; by default one of
    each. Raises Misuse as `load_model` does.

    >>> lengths = autotune.SizeRange(1, 128)
    >>> autotune.load_dynamic_model("bert.onnx", dims={"batch": 1, "sequence": lengths})  # doctest: +SKIP
    """
    path = Path(path)
    if not has_ranges(shapes or {}, dims or {}):
        raise Misuse("expected a range for some size, as in 1..8; found none", code="AT105")
    inputs, notices = read_dynamic_inputs(path, shapes or {}, dims or {})
    max_bytes = None if max_mb is None else int(max_mb * _MB)
    plan, more = plan_shapes(path, inputs, max_bytes, server=server)
    return import_variants(path, plan, (*notices, *more))


def open_model(
    path: Path, shapes: Mapping[str, tuple[Size, ...]], dims: Mapping[str, Size], max_mb: float | None = None
) -> Model | DynamicModel:
    """The model with static shapes, or with dynamic axes where any of the sizes is a range.

    Raises Misuse as `load_model` does, and for a size limit without a range.
    """
    if has_ranges(shapes, dims):
        return load_dynamic_model(path, shapes, dims, max_mb)
    if max_mb is not None:
        raise Misuse(
            "a size limit chooses among the sizes of a range, as in --dim batch=1..8; found no range",
            code="AT105",
        )
    fixed = {name: tuple(map(largest, shape)) for name, shape in shapes.items()}
    return load_model(path, fixed, {name: largest(size) for name, size in dims.items()})


def plan_shapes(
    path: Path,
    inputs: DynamicInputs,
    max_bytes: int | None = None,
    device: Device | None = None,
    server: ForkServer | None = None,
) -> tuple[ShapePlan, tuple[str, ...]]:
    """The plan of a model with dynamic axes, and notices on what does not work at full speed or at all.

    max_bytes: the largest size of the library, estimated from the weights, which each variant may pack in its own way;
    by default there are at most `MAX_VARIANTS`. device: of this machine, for whose target a fallback is tried; by
    default its CPU. Raises Misuse for a file that cannot be read.
    """
    here = device or local_device()
    notices: list[str] = []
    try:
        study = study_padding(path, inputs, here.threads, server)
    except AutotuneError as error:
        study = PaddingStudy((None,) * len(inputs.axes), ())
        notices.append(f"nothing is padded, as nothing shows that it may be: {error}")
    costs = read_size_costs(path, inputs)
    most = MAX_VARIANTS if max_bytes is None else costs.variants_within(max_bytes)
    axes = [
        ChoiceAxis(axis.sizes, padding is not None)
        for axis, padding in zip(inputs.axes, study.paddings, strict=True)
    ]
    variants = choose_variants(axes, costs.secs, most)
    plan = ShapePlan(inputs, study.paddings, study.outputs, variants, has_fallback=False)
    if not _needs_fallback(plan):
        return plan, tuple(notices)
    fault = find_fallback_fault(path, inputs, here.target, here.threads, server)
    whole = replace(plan, has_fallback=fault is None)
    return whole, (*notices, *_gaps(plan, fault))


def _needs_fallback(plan: ShapePlan) -> bool:
    """Whether there are inputs that no variant computes."""
    has_masks = any(plan.masks_of(axis) for axis in range(len(plan.paddings)))
    return has_masks or _unbuilt_count(plan) > 0


def _unbuilt_count(plan: ShapePlan) -> int:
    """The number of sizes that no variant computes; of very many, those that are no variant's."""
    ranges = [axis.sizes.sizes for axis in plan.inputs.axes]
    total = int(np.prod([float(len(one)) for one in ranges]))
    if total > _MAX_ENUMERATED:
        return 0 if all(plan.paddings) else total - len(plan.variants)
    return sum(plan.variant_for(sizes) is None for sizes in product(*ranges))


def _gaps(plan: ShapePlan, fault: str | None) -> Sequence[str]:
    """Notices on sizes that are not built."""
    count = _unbuilt_count(plan)
    if not count:
        return ()
    exact = ", ".join(
        axis.name for axis, padding in zip(plan.inputs.axes, plan.paddings, strict=True) if padding is None
    )
    what = f"{count} sizes are not built ({exact}: inputs may not be padded, as outputs would change)"
    if fault is None:
        return (f"{what}: they are computed untuned, and slowly. A larger --max-mb builds more of them",)
    return (
        f"{what}, and a call with one of them is refused: {fault}. A larger --max-mb builds more of them",
    )
