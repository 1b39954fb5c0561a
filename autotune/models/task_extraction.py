"""The distinct operators of a model, each with the number of times that one run calls it (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import tvm
from tvm import relax

from autotune.models.dynamic_model import DynamicModel
from autotune.models.lowering import lower
from autotune.models.model import Model
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import workload


def extract_tasks(
    model: Model | DynamicModel | tvm.IRModule | tvm.tirx.PrimFunc, target: Target
) -> tuple[TuningTask, ...]:
    """The tasks of a model, a Relax module, a module with one PrimFunc, or a PrimFunc; in first-call order.

    A task's weight is the number of its call sites; functions that compute the same are one task. The tasks of a model
    with dynamic axes are those of all its variants.
    Functions with dynamic shapes are left out: `autotune.deployment.compilation` builds them untuned and says so.
    Raises Misuse where there is nothing to tune.
    """
    if isinstance(model, DynamicModel):
        return tasks_together(tasks_of_variants(model, target))
    if not isinstance(model, Model) and (isinstance(model, tvm.tirx.PrimFunc) or not has_graph(model)):
        return (TuningTask(workload(model, _name(model)), target),)
    tasks: dict[str, TuningTask] = {}
    weights: dict[str, int] = {}
    lowered = lower(model, target)
    keys: dict[str, str] = {}
    for name, func in calls(lowered):
        if not is_static(func):
            continue
        if name not in keys:
            found = workload(func, name)
            keys[name] = found.key
            tasks.setdefault(found.key, TuningTask(found, target))
        weights[keys[name]] = weights.get(keys[name], 0) + 1
    if not tasks:
        raise Misuse(
            "expected a model with at least one operator of static shape; found none to tune", code="AT108"
        )
    return tuple(TuningTask(task.workload, target, weights[key]) for key, task in tasks.items())


def tasks_of_variants(model: DynamicModel, target: Target) -> tuple[tuple[TuningTask, ...], ...]:
    """The tasks of each variant of a model with dynamic axes. Raises Misuse as `extract_tasks` does."""
    return tuple(extract_tasks(one, target) for one in model.variants.values())


def tasks_together(variants: Iterable[Iterable[TuningTask]]) -> tuple[TuningTask, ...]:
    """The tasks of several models, equal ones once with the calls of all."""
    merged: dict[str, TuningTask] = {}
    for task in chain.from_iterable(variants):
        known = merged.get(task.key)
        merged[task.key] = replace(known, weight=known.weight + task.weight) if known else task
    return tuple(merged.values())


def calls(lowered: tvm.IRModule) -> Iterator[tuple[str, tvm.tirx.PrimFunc]]:
    """Every call of a tensor program in a lowered module, in order, with its function's name."""
    found: list[tuple[str, tvm.tirx.PrimFunc]] = []
    call_tir = tvm.ir.Op.get("relax.call_tir")

    def visit(expr: object) -> None:
        if isinstance(expr, tvm.ir.Call) and expr.op.same_as(call_tir):
            found.append((str(expr.args[0].name_hint), lowered[expr.args[0]]))

    for func in lowered.functions.values():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func, visit)
    return iter(found)


def has_graph(module: tvm.IRModule) -> bool:
    """Whether the module is a Relax program rather than a bare tensor program."""
    return any(isinstance(func, relax.Function) for func in module.functions.values())


def is_static(func: tvm.tirx.PrimFunc) -> bool:
    """Whether every parameter is a buffer whose sizes are all known."""
    return all(
        isinstance(param.ty, tvm.tirx.BufferType)
        and all(isinstance(size, tvm.tirx.IntImm) for size in param.shape)
        for param in func.params
    )


def _name(module: tvm.IRModule | tvm.tirx.PrimFunc) -> str:
    if isinstance(module, tvm.tirx.PrimFunc):
        return str(module.attrs.get("global_symbol", "main")) if module.attrs else "main"
    return str(next(iter(module.functions)).name_hint) if len(module.functions) == 1 else "main"
