"""Sums of products of 16-bit integers in pairs, which x86 computes in one instruction, PMADDWD (imports TVM).

A pair is a 32-bit word. A product of matrices of words is like one of float32 with half as many steps, so that
schedules, packed weights and tiles in registers apply to it as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tvm
from tvm import te, tirx
from tvm.target import codegen

from search_spaces.tensor_ir.contained_nodes import contained_nodes
from search_spaces.tensor_ir.float_lanes import LANES
from search_spaces.tensor_ir.module_map import with_mapped

#: The operator: low half times low half plus high half times high half of two words, as int32.
PAIR_PRODUCT: Final = "tirx.pair_product"
_LEVEL = 100
_HALF_BITS = 16
# LLVM's intrinsic by the number of words, and the feature that it needs.
_INTRINSICS = (
    (16, "avx512bw", "llvm.x86.avx512.pmaddw.d.512"),
    (8, "avx2", "llvm.x86.avx2.pmadd.wd"),
    (4, "sse2", "llvm.x86.sse2.pmadd.wd"),
)


def register_pair_products() -> None:
    """Registers the operator with TVM and its code for LLVM: PMADDWD where the target has it, else multiplications."""
    attributes = {
        "TVectorizable": True,
        "TCallEffectKind": tvm.ir.Op.get("tirx.exp").get_attr("TCallEffectKind"),
        "TScriptPrinterName": PAIR_PRODUCT.removeprefix("tirx."),
        "llvm.FLowerIntrinsic": _lowered,
        "default.FLowerIntrinsic": _multiplied,
    }
    for name, value in attributes.items():
        tvm.ir.register_op_attr(PAIR_PRODUCT, name, value, _LEVEL)


def has_pair_products(target: tvm.target.Target) -> bool:
    """Whether the target has the instruction, for all vectors that its floats have where these are of 512 bits."""
    feature = "avx512bw" if codegen.target_has_features("avx512f", target) else "sse2"
    return bool(codegen.target_has_features(feature, target))


def pairs(x: te.Tensor) -> te.Tensor:
    """Words of the halves of the last axis: ``x[..., k]`` and ``x[..., k + ceil(K / 2)]``, 0 beyond the end.

    x: numbers of any dtype that are integers of 16 bits.
    """
    *outer, length = x.shape
    count = (int(length) + 1) // 2

    def word(*indices: Any) -> Any:
        *before, k = indices
        low = x(*before, k).astype("int32") & tirx.const(0xFFFF, "int32")
        high = x(*before, k + count).astype("int32") << tirx.const(_HALF_BITS, "int32")
        if int(length) % 2:
            high = tirx.if_then_else(k + count < length, high, tirx.const(0, "int32"))
        return low | high

    return te.compute((*outer, count), word, "pairs")


def paired(values: npt.NDArray[Any], axis: int) -> npt.NDArray[np.int32]:
    """As `pairs`, of integers along any axis of an array."""
    moved = np.moveaxis(values, axis, -1).astype(np.int16)
    count = (moved.shape[-1] + 1) // 2
    halves = np.zeros((*moved.shape[:-1], count, 2), np.int16)
    halves[..., 0] = moved[..., :count]
    halves[..., : moved.shape[-1] - count, 1] = moved[..., count:]
    return np.ascontiguousarray(np.moveaxis(halves.view(np.int32)[..., 0], -1, axis))


def matmul_of_pairs(left: te.Tensor, right: te.Tensor) -> te.Tensor:
    """The product in int32 of words ``[..., M, K]`` and ``[K, N]``."""
    k = te.reduce_axis((0, right.shape[0]), "k")
    return te.compute(
        (*left.shape[:-1], right.shape[1]),
        lambda *indices: te.sum(_pair_product(left(*indices[:-1], k), right[k, indices[-1]]), axis=k),
        "matmul",
    )


def conv2d_of_pairs(
    data: te.Tensor,
    weights: te.Tensor,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> te.Tensor:
    """The convolution in int32 of words in NHWC with words in HWIO; padding: top, left, bottom, right."""
    top, left, bottom, right = padding
    batch, height, width, channels = (int(size) for size in data.shape)
    rows, columns, _, filters = (int(size) for size in weights.shape)
    padded = data
    if any(padding):
        padded = tvm.topi.nn.pad(data, (0, top, left, 0), (0, bottom, right, 0), name="pad_temp")
    places = [
        (size + sum(pads) - step * (taps - 1) - 1) // stride + 1
        for size, pads, step, taps, stride in zip(
            (height, width), ((top, bottom), (left, right)), dilation, (rows, columns), strides, strict=True
        )
    ]
    ry, rx, rc = (
        te.reduce_axis((0, size), name) for size, name in ((rows, "ry"), (columns, "rx"), (channels, "rc"))
    )
    return te.compute(
        (batch, *places, filters),
        lambda n, y, x, f: te.sum(
            _pair_product(
                padded[n, y * strides[0] + ry * dilation[0], x * strides[1] + rx * dilation[1], rc],
                weights[ry, rx, rc, f],
            ),
            axis=(ry, rx, rc),
        ),
        "conv2d_nhwc",
    )


def has_pair_operator(module: tvm.IRModule) -> bool:
    """Whether a tensor program computes products of pairs, which TVM knows by this package alone."""
    calls = (call for func in module.functions.values() for call in contained_nodes(func.body, tvm.ir.Call))
    return any(getattr(call.op, "name", "") == PAIR_PRODUCT for call in calls)


def with_counted_products(module: tvm.IRModule) -> tvm.IRModule:
    """A module with as many operations, of which TVM can count all."""

    def spelled_out(call: Any) -> Any:
        if getattr(call.op, "name", "") != PAIR_PRODUCT:
            return call
        left, right = call.args
        return left * right + left * right

    return with_mapped(module, tvm.ir.Call, spelled_out)


def _pair_product(left: Any, right: Any) -> Any:
    return tirx.call_intrin("int32", tvm.ir.Op.get(PAIR_PRODUCT), left, right)


def _lowered(call: Any) -> Any:
    """A call as PMADDWD of as many words as a register holds, several where the vector is longer."""
    lanes = str(call.ty.dtype).partition(LANES)[2]
    target, words = tvm.target.Target.current(allow_none=True), int(lanes or 1)
    for width, feature, intrinsic in _INTRINSICS:
        if target is not None and words % width == 0 and codegen.target_has_features(feature, target):
            return _in_registers(call, (words, width), intrinsic)
    return _multiplied(call)


def _in_registers(call: Any, sizes: tuple[int, int], intrinsic: str) -> Any:
    words, width = sizes

    def product(left: Any, right: Any) -> Any:
        halves = f"int16{LANES}{2 * width}"
        operands = (tirx.reinterpret(halves, one) for one in (left, right))
        return tirx.call_llvm_pure_intrin(f"int32{LANES}{width}", intrinsic, *operands)

    if words == width:
        return product(*call.args)
    parts = [list(range(start, start + width)) for start in range(0, words, width)]
    products = [product(*(tirx.Shuffle([one], part) for one in call.args)) for part in parts]
    return tirx.Shuffle(products, list(range(words)))


def _multiplied(call: Any) -> Any:
    left, right = call.args
    bits = tirx.const(_HALF_BITS, str(call.ty.dtype))
    low = ((left << bits) >> bits) * ((right << bits) >> bits)
    return low + (left >> bits) * (right >> bits)
