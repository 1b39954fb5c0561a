"""The algorithm of each convolution of a model, by what a log says of its forms (imports TVM)."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator

import tvm
from tvm import relax

from autotune.models.dynamic_model import DynamicModel
from autotune.models.lowering import lower
from autotune.models.model import Model
from autotune.models.passes.winograd import INPUT, OUTPUT, ConvolutionShape, never
from autotune.models.task_extraction import is_static
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import workload
from search_spaces.workload import Workload
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint

#: The functions that compute the convolutions of one shape, one name a call.
Forms = dict[ConvolutionShape, list[str]]
_Sizes = tuple[int, ...]
# Axes of images and of volumes.
_IMAGES = (4, 5)


def lower_by_log(
    model: Model | DynamicModel | tvm.IRModule,
    target: Target,
    log: RecordStore,
    device: DeviceFingerprint | None = None,
) -> tvm.IRModule:
    """As `lower`, with a convolution transformed only where no record shows that its direct form is faster.

    Forms are compared by the sums of their best records; one of which an operator has no record counts as slower than
    one with records, so that logs of direct convolutions go on to apply. device: whose records count, None for all.
    """
    expected = lower(model, target)
    transformed = transformed_forms(expected)
    if not transformed or not len(log):
        return expected
    plain = lower(model, target, never)
    direct = direct_forms(plain, transformed)

    def secs(module: tvm.IRModule, names: list[str]) -> float:
        records = [log.best(TuningTask(_workload(module, name), target), device) for name in names]
        return sum(math.inf if record is None else record.secs for record in records)

    slower = {
        shape for shape, names in direct.items() if secs(plain, names) < secs(expected, transformed[shape])
    }
    return lower(model, target, lambda shape: shape not in slower) if slower else expected


def other_forms(model: Model | DynamicModel | tvm.IRModule, target: Target) -> tuple[TuningTask, ...]:
    """The direct forms of convolutions that `lower` transforms, of weight 0: timed to choose by, and not searched."""
    shapes: set[ConvolutionShape] = set()

    def declined(shape: ConvolutionShape) -> bool:
        shapes.add(shape)
        return False

    plain = lower(model, target, declined)
    names = dict.fromkeys(name for found in direct_forms(plain, shapes).values() for name in found)
    tasks = {(one := _workload(plain, name)).key: TuningTask(one, target, 0) for name in names}
    return tuple(tasks.values())


def transformed_forms(lowered: tvm.IRModule) -> Forms:
    """The three functions of each call of a transformed convolution."""
    found: Forms = {}
    for calls in _bound_calls(lowered):
        for call in calls.values():
            if OUTPUT not in _callee(call):
                continue
            products = calls[_operands(call)[0]]
            tiles, weights = _operands(products)[:2]
            taken = calls[tiles]
            taps_and_groups = _sizes(weights)[1:-2]
            shape = ConvolutionShape(_sizes(_operands(taken)[0]), _sizes(call), *taps_and_groups)
            assert INPUT in _callee(taken)
            found.setdefault(shape, []).extend(map(_callee, (taken, products, call)))
    return found


def direct_forms(lowered: tvm.IRModule, shapes: Container[ConvolutionShape]) -> Forms:
    """The function of each call of a direct convolution of these shapes."""
    found: Forms = {}
    for calls in _bound_calls(lowered):
        for call in calls.values():
            operands = _operands(call)
            if not operands or len(_sizes(operands[0])) not in _IMAGES or not _sizes(call):
                continue
            for weights in map(_sizes, operands[1:]):
                shape = _shape(_sizes(operands[0]), weights, _sizes(call))
                if shape is not None and shape in shapes and weights == shape.weights:
                    found.setdefault(shape, []).append(_callee(call))
    return found


def _shape(data: _Sizes, weights: _Sizes, result: _Sizes) -> ConvolutionShape | None:
    """The shape of a direct convolution of these tensors, if they are those of one."""
    if len(weights) != len(data) or data[-1] % weights[-2]:
        return None
    return ConvolutionShape(data, result, math.prod(weights[:-4]), data[-1] // weights[-2])


def _bound_calls(lowered: tvm.IRModule) -> Iterator[dict[object, relax.Call]]:
    """For each function, what calls of tensor programs are bound to, in order."""
    call_tir = tvm.ir.Op.get("relax.call_tir")
    for func in lowered.functions.values():
        if isinstance(func, relax.Function):
            bindings = (binding for block in func.body.blocks for binding in block.bindings)
            yield {
                binding.var: binding.value
                for binding in bindings
                if isinstance(binding, relax.VarBinding)
                and isinstance(binding.value, relax.Call)
                and binding.value.op.same_as(call_tir)
                and is_static(lowered[binding.value.args[0]])
            }


def _callee(call: relax.Call) -> str:
    return str(call.args[0].name_hint)


def _operands(call: relax.Call) -> list[object]:
    return list(call.args[1].fields)


def _sizes(expr: object) -> tuple[int, ...]:
    """The shape of a tensor, () of anything else."""
    shape = getattr(expr.ty, "shape", None)  # type: ignore[attr-defined]
    return () if shape is None else tuple(int(size) for size in shape)


def _workload(lowered: tvm.IRModule, name: str) -> Workload:
    return workload(lowered[name], name)
