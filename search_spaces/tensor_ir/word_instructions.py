"""Operators on 32-bit words of two or four integers, which CPUs compute in one instruction (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import tvm
from tvm import tirx
from tvm.target import codegen

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.float_lanes import LANES, by_registers
from search_spaces.tensor_ir.module_map import with_mapped

_LEVEL = 100
_WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class Instruction:
    """LLVM's intrinsic for vectors of so many words, and the features of which a target needs one.

    sums: whether it takes the words to add to, its first operand.
    """

    words: int
    features: tuple[str, ...]
    intrinsic: str
    sums: bool


@dataclass(frozen=True, slots=True)
class WordProduct:
    """A sum of the products of the integers in two words, as int32.

    operator: its name in TVM; parts: integers in a word; is_signed: whether those of the first word have a sign, as
    those of the second word have; instructions: of the longest vectors first.
    """

    operator: str
    parts: int
    is_signed: bool
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """Its name without TVM's namespace and what all have in common."""
        return self.operator.removeprefix("tirx.").removesuffix("_product")

    @property
    def bits(self) -> int:
        """The bits of an integer."""
        return _WORD_BITS // self.parts

    def __call__(self, left: Any, right: Any) -> Any:
        """The expression of two words."""
        return tirx.call_intrin("int32", tvm.ir.Op.get(self.operator), left, right)


#: Two integers of 16 bits: PMADDWD, which LLVM makes VPDPWSSD of where there is one.
PAIR_PRODUCT: Final = WordProduct(
    "tirx.pair_product",
    2,
    True,
    (
        Instruction(16, ("avx512bw",), "llvm.x86.avx512.pmaddw.d.512", False),
        Instruction(8, ("avx2",), "llvm.x86.avx2.pmadd.wd", False),
        Instruction(4, ("sse2",), "llvm.x86.sse2.pmadd.wd", False),
    ),
)
#: Four integers of 8 bits, those of the first word without a sign: VPDPBUSD.
UNSIGNED_QUAD_PRODUCT: Final = WordProduct(
    "tirx.unsigned_quad_product",
    4,
    False,
    (
        Instruction(16, ("avx512vnni",), "llvm.x86.avx512.vpdpbusd.512", True),
        Instruction(8, ("avxvnni", "avx512vnni"), "llvm.x86.avx512.vpdpbusd.256", True),
        Instruction(4, ("avxvnni", "avx512vnni"), "llvm.x86.avx512.vpdpbusd.128", True),
    ),
)
#: Four integers of 8 bits: SDOT of 64-bit ARM.
SIGNED_QUAD_PRODUCT: Final = WordProduct(
    "tirx.signed_quad_product",
    4,
    True,
    (Instruction(4, ("dotprod",), "llvm.aarch64.neon.sdot.v4i32.v16i8", True),),
)
_PRODUCTS: Final = (UNSIGNED_QUAD_PRODUCT, SIGNED_QUAD_PRODUCT, PAIR_PRODUCT)
OPERATORS: Final = frozenset(product.operator for product in _PRODUCTS)


def register_word_products() -> None:
    """Registers the operators with TVM and their code for LLVM: an instruction where the target has it, else
    multiplications."""
    for product in _PRODUCTS:
        attributes = {
            "TVectorizable": True,
            "TCallEffectKind": tvm.ir.Op.get("tirx.exp").get_attr("TCallEffectKind"),
            "TScriptPrinterName": product.operator.removeprefix("tirx."),
            "llvm.FLowerIntrinsic": _lowering(product),
            "default.FLowerIntrinsic": _multiplication(product),
        }
        for name, value in attributes.items():
            tvm.ir.register_op_attr(product.operator, name, value, _LEVEL)


def word_products(target: tvm.target.Target) -> tuple[WordProduct, ...]:
    """The products that the target has instructions for, of all vectors of its floats; the fastest first."""
    most = 16 if codegen.target_has_features("avx512f", target) else 1
    return tuple(
        product
        for product in _PRODUCTS
        if any(one.words >= most and _has(one, target) for one in product.instructions)
    )


def _has(instruction: Instruction, target: tvm.target.Target) -> bool:
    return any(codegen.target_has_features(feature, target) for feature in instruction.features)


def has_word_operator(module: tvm.IRModule) -> bool:
    """Whether a tensor program computes products of words, which TVM knows by this package alone."""
    calls = (call for func in module.functions.values() for call in contained_nodes(func.body, tvm.ir.Call))
    return any(getattr(call.op, "name", "") in OPERATORS for call in calls)


def with_counted_products(module: tvm.IRModule) -> tvm.IRModule:
    """A module with as many operations, of which TVM can count all."""
    parts = {product.operator: product.parts for product in _PRODUCTS}

    def spelled_out(call: Any) -> Any:
        count = parts.get(getattr(call.op, "name", ""))
        if count is None:
            return call
        left, right = call.args
        return sum((left * right for _ in range(count - 1)), left * right)

    return with_mapped(module, tvm.ir.Call, spelled_out)


def with_accumulated_products(module: tvm.IRModule) -> tvm.IRModule:
    """The module with products that add to their sum themselves, where an instruction does.

    y[i] = y[i] + quad_product(a, b)  →  y[i] = quad_product(a, b, y[i])
    """
    summing = {one.operator for one in _PRODUCTS if any(each.sums for each in one.instructions)}

    def accumulated(total: Any) -> Any:
        call = total.b
        is_product = isinstance(call, tvm.ir.Call) and getattr(call.op, "name", "") in summing
        if not is_product or len(call.args) > 2:
            return total
        return tvm.ir.Call(call.op, [*call.args, total.a], ret_ty=call.ty)

    return with_mapped(module, tirx.Add, accumulated)


def _lowering(product: WordProduct) -> Callable[[Any], Any]:
    """Lowering of calls: the instruction for as many words as a register holds, several where the vector is longer."""
    multiplied = _multiplication(product)

    def lowered(call: Any) -> Any:
        count = int(str(call.ty.dtype).partition(LANES)[2] or 1)
        target = tvm.target.Target.current(allow_none=True)
        for one in product.instructions:
            if target is not None and count % one.words == 0 and _has(one, target):
                return _in_registers(call, one, product.bits)
        return multiplied(call)

    return lowered


def _in_registers(call: Any, instruction: Instruction, bits: int) -> Any:
    count, width = int(str(call.ty.dtype).partition(LANES)[2]), instruction.words
    dtype, parts = f"int32{LANES}{width}", f"int{bits}{LANES}{width * _WORD_BITS // bits}"

    def product(left: Any, right: Any, *totals: Any) -> Any:
        operands = [tirx.reinterpret(parts, one) for one in (left, right)]
        if instruction.sums:
            operands = [*(totals or (tirx.Broadcast(tirx.const(0, "int32"), width),)), *operands]
        return tirx.call_llvm_pure_intrin(dtype, instruction.intrinsic, *operands)

    return by_registers(count, width, product, *call.args)


def _multiplication(product: WordProduct) -> Callable[[Any], Any]:
    """Lowering of calls to multiplications of the integers of their words."""

    def multiplied(call: Any) -> Any:
        left, right, *totals = call.args
        dtype = str(call.ty.dtype)

        def signed(word: Any, place: int) -> Any:
            high = tirx.const(_WORD_BITS - product.bits, dtype)
            return (word << (high - tirx.const(product.bits * place, dtype))) >> high

        def unsigned(word: Any, place: int) -> Any:
            shifted = word >> tirx.const(product.bits * place, dtype)
            return shifted & tirx.const((1 << product.bits) - 1, dtype)

        first = signed if product.is_signed else unsigned
        found = totals[0] if totals else None
        for place in range(product.parts):
            one = first(left, place) * signed(right, place)
            found = one if found is None else found + one
        return found

    return multiplied
