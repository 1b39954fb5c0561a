"""Checks of builds at many sizes against ONNX Runtime, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autotune.deployment.compilation import compile_any_size
from autotune.deployment.dynamic_reference import DynamicReference
from autotune.deployment.executable import load
from autotune.deployment.library import Array
from autotune.deployment.referee import judge
from autotune.models.dynamic_inputs import DynamicInputs, Sizes
from autotune.models.shape_plan import FALLBACK, ShapePlan
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError, last_line
from search_spaces.target import Target

_TIMEOUT_SECS = 600.0
_SEED = 0
# Draws of sizes beside the smallest ones and the variants themselves.
_DRAWS = 6


def find_fallback_fault(
    path: Path, inputs: DynamicInputs, target: Target, threads: int, server: ForkServer | None = None
) -> str | None:
    """Builds a model for any size of its axes and compares it with ONNX Runtime at small sizes.

    Returns what is wrong with it, None where it is right. server: forks the process; by default one of its own.
    """
    return _asked(Call(_fallback_fault, (path, inputs, target, threads)), threads, server)


def find_size_mistake(
    library: Path, path: Path, plan: ShapePlan, threads: int, server: ForkServer | None = None
) -> str | None:
    """Compares a saved build with ONNX Runtime at its variants' sizes, at their neighbours' and at random ones.

    Returns the first mistake with its sizes, None where there is none.
    """
    return _asked(Call(_size_mistake, (library, path, plan, threads)), threads, server)


def _asked(call: Call, threads: int, server: ForkServer | None) -> str | None:
    with lasting_worker(WorkerNeeds(__name__, kernel_threads(threads)), server) as pool:
        [reply] = pool.map([(call, _TIMEOUT_SECS)])
    return reply.value if isinstance(reply, Returned) else reply.message


def _fallback_fault(path: Path, inputs: DynamicInputs, target: Target, threads: int) -> str | None:
    try:
        library = compile_any_size(path, inputs, target)
    except (AutotuneError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        return f"a build for any size fails: {last_line(error)}"
    sizes = [tuple(axis.sizes.sizes[: place + 1][-1] for axis in inputs.axes) for place in range(3)]
    with DynamicReference(path, inputs, threads, _SEED) as reference:
        mistake = _first_mistake(reference, lambda arrays: library.run(FALLBACK, arrays), sizes)
    return f"a build for any size computes something else {mistake}" if mistake else None


def _size_mistake(library: Path, path: Path, plan: ShapePlan, threads: int) -> str | None:
    model = load(library)

    def run(arrays: Sequence[Array]) -> tuple[Array, ...]:
        found = model(*arrays)
        return found if isinstance(found, tuple) else (found,)

    with DynamicReference(path, plan.inputs, threads, _SEED) as reference:
        return _first_mistake(reference, run, _sizes_to_check(plan))


def _sizes_to_check(plan: ShapePlan) -> list[Sizes]:
    rng = np.random.default_rng(_SEED)
    drawn = [tuple(int(rng.choice(axis.sizes.sizes)) for axis in plan.inputs.axes) for _ in range(_DRAWS)]
    found = [plan.inputs.low, *plan.variants, *drawn]
    return list(dict.fromkeys(one for one in found if plan.has_fallback or plan.variant_for(one) is not None))


def _first_mistake(
    reference: DynamicReference, run: Callable[[Sequence[Array]], Any], sizes: Sequence[Sizes]
) -> str | None:
    for each in sizes:
        where = f"at {' x '.join(map(str, each))}"
        arrays = reference.draw(each, _SEED)
        try:
            mistake = judge(run(arrays), reference.expected(arrays, _SEED)).mistake
        except AutotuneError as error:
            return f"{where}: {error}"
        if mistake is not None:
            return f"{where}: {mistake}"
    return None
