"""The sketches of how an operator may be scheduled on a target: TVM's own, and ours after them (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import tvm
import tvm_ffi
from tvm.s_tir import meta_schedule
from tvm.s_tir.meta_schedule import _ffi_api

from search_spaces.errors import Misuse
from search_spaces.tensor_ir import attention, winograd
from search_spaces.tensor_ir.block_rules import has_rule
from search_spaces.tensor_ir.mma_schedule import mma_sketches
from search_spaces.tensor_ir.operand_packing import PackedPanels, with_packed_operand
from search_spaces.tensor_ir.uneven_rows import with_uneven_rows
from search_spaces.tensor_ir.vector_unit import vector_unit

# Target kinds with rules that need no tensor intrinsics: importing those takes 20 s.
_CPU = "llvm"
_WEBGPU, _VULKAN = "webgpu", "vulkan"
_GPUS = ("cuda", "opencl", "metal", "rocm")
# The rules for NVIDIA's GPUs ask for what all kinds have: groups of threads, and memory that they share.
_RULES = {_CPU: "llvm", **dict.fromkeys(_GPUS, "cuda")}
# The attributes that the rules of a kind divide loops by.
_SHARED = "max_shared_memory_per_block"
_NEEDED = {_CPU: ("num-cores",), **dict.fromkeys(_GPUS, ("max_threads_per_block", _SHARED))}

# TVM marks pooling with rules that no target defines, and warns of it on stderr for every task.
_UNDEFINED_RULES = ("pool_max", "pool_avg", "adaptive_pool_max", "adaptive_pool_avg")


@dataclass(frozen=True)
class DesignSpace:
    """The sketches of one operator by name (traces whose sampling instructions are open) and the passes that finish
    them.

    tensorized: those for tensor cores, which schedule `product`; other passes finish them.
    """

    sketches: Mapping[str, Any]
    postprocs: tuple[Any, ...]
    tensorized: Mapping[str, Any] = field(default_factory=dict)
    product: tvm.IRModule | None = None


def design_space(module: tvm.IRModule, target: tvm.target.Target) -> DesignSpace:
    """MetaSchedule's schedules (`PostOrderApply`) of a normalised module, in its order: `sketch-0`, `sketch-1`…

    On CPUs the same with a packed operand come after them, and `uneven-0`, `uneven-1`… are all of them with uneven
    rows; both only where they may pay, so operators of other sizes may lack them.

    On GPUs of NVIDIA with tensor cores, products, and convolutions with channels last, have `mma-128x64` and others by
    their block's tile. For float32 they come after TVM's; for others instead: what TVM proposes for them is a tenth as
    fast, and most of it illegal.

    No sketches of Winograd's tile transforms and of attention, which have one good schedule, nor where TVM cannot
    schedule the operator.
    Raises Misuse for a target kind without rules, and for a target without the attributes that they need.
    """
    kind = str(target.kind.name)
    if kind == _VULKAN:
        raise Misuse(
            "expected a kind of GPU that TVM's package generates code for, found 'vulkan'; take 'opencl' for the "
            "same device",
            code="AT772",
        )
    if kind not in _RULES:
        raise Misuse(
            f"expected a target of kind {' or '.join(_RULES)}, found {kind!r}: there are no rules for it",
            code="AT411",
        )
    _check_attributes(target, kind)
    if kind == _CPU and has_rule(module, winograd.SCHEDULE_RULE, attention.SCHEDULE_RULE):
        return DesignSpace({}, ())
    _define_pooling_rules(target)
    rules = _RULES[kind]
    generator = meta_schedule.space_generator.PostOrderApply(
        sch_rules=rules, postprocs=rules, mutator_probs=rules
    )
    context = _TuneContext(module, target, generator)
    try:
        with target:
            schedules = context.generate_design_space()
    except (RuntimeError, ValueError, TypeError):
        return DesignSpace({}, ())
    mma = mma_sketches(module, target)
    if mma is not None and not mma.is_float32:
        return DesignSpace({}, tuple(generator.postprocs), mma.traces, mma.module)
    sketches, uneven = [schedule.trace for schedule in schedules], []
    postprocs = tuple(generator.postprocs)
    if kind == _CPU:
        postprocs = (PackedPanels(), *postprocs)
        sketches += with_packed_operand(module, sketches)
        uneven = with_uneven_rows(module, vector_unit(target), sketches)
    named = [(f"sketch-{number}", trace) for number, trace in enumerate(sketches)]
    named += [(f"uneven-{number}", trace) for number, trace in enumerate(uneven)]
    found = DesignSpace(dict(named), postprocs)
    return found if mma is None else replace(found, tensorized=mma.traces, product=mma.module)


def scheduling_target(target: tvm.target.Target) -> tvm.target.Target:
    """The target that schedules are made for: the rules ask WebGPU's for a limit that TVM does not let it have."""
    if str(target.kind.name) != _WEBGPU:
        return target
    threads = int(target.attrs["max_num_threads"])
    limits = {
        "max_threads_per_block": threads,
        "max_num_threads": threads,
        _SHARED: int(target.attrs[_SHARED]),
    }
    return tvm.target.Target({"kind": "opencl", **limits})


def _check_attributes(target: tvm.target.Target, kind: str) -> None:
    for name in _NEEDED[kind]:
        value = target.attrs.get(name)
        if value is None or int(value) < 1:
            raise Misuse(
                f"expected a target with a positive -{name}, found {'none' if value is None else value}; write it "
                "as in 'llvm -mcpu=znver4 -num-cores=2', or take TVM's tag for the device: 'nvidia/nvidia-a100'",
                code="AT411",
            )


class _TuneContext(meta_schedule.TuneContext):  # type: ignore[misc]
    """TVM's context without what its own constructor does first: import every back end's intrinsics."""

    def __init__(self, module: tvm.IRModule, target: tvm.target.Target, generator: Any) -> None:
        self.__init_handle_by_constructor__(
            _ffi_api.TuneContext, module, target, generator, None, "main", 1, 1, None
        )
        _ffi_api.TuneContextInitialize(self)


def _define_pooling_rules(target: tvm.target.Target) -> None:
    def unmark(schedule: Any, block: Any) -> list[Any]:
        schedule.unannotate(block, "schedule_rule")
        return [schedule]

    for key in target.keys:
        for rule in _UNDEFINED_RULES:
            name = f"s_tir.meta_schedule.{key}.meta_schedule.{rule}"
            if tvm_ffi.get_global_func(name, allow_missing=True) is None:
                tvm_ffi.register_global_func(name, unmark)
