"""Planning of a model with dynamic axes: what may be padded, which sizes are built, whether a fallback is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from autotune.deployment.any_size_check import find_fallback_fault
from autotune.deployment.padding_study import PaddingStudy, study_padding
from autotune.deployment.variant_choice import ChoiceAxis, choose_variants
from autotune.devices.device import Device, local_device
from autotune.models.dynamic_axes import DynamicInputs
from autotune.models.shape_plan import ShapePlan
from autotune.models.size_costs import read_size_costs
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import AutotuneError

#: Without a limit on the size of the library.
MAX_VARIANTS = 16
# A model with more sizes than these is taken to have some that no variant computes.
_MAX_ENUMERATED = 100_000


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
