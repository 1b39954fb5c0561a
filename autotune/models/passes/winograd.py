"""3 × 3 convolutions as Winograd's F(4×4, 3×3), where that is expected to be faster (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import relax, te
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    FUSED_BEHIND,
    OPAQUE,
    PATTERN,
    Lookup,
    bound,
    has_channels_last,
    is_call,
    rewritten,
    static_shape,
)
from search_spaces.tensor_ir.vector_unit import VectorUnit
from search_spaces.tensor_ir.winograd import (
    TILE,
    WINDOW,
    Depth,
    grouped_weights,
    input_tiles,
    output_tiles,
    tile_products,
    transformed_weights,
)

_KERNEL = 3
_CONVOLUTIONS = ("relax.nn.conv2d", "relax.nn.conv3d")
# Axes of (N, D, H, W, channels).
_VOLUME = 5
_BYTES = 4
# Multiply-adds that a core does in the time in which it moves one byte of tiles, through its second cache, or of
# weights, from memory.
_MOVED, _STREAMED = 4.0, 6.0
# Products of small matrices reach less of the peak than a convolution does.
_SLOWER_PRODUCTS = 1.2
# Expected part of the direct convolution's time above which it is left as it is.
_LEAST_GAIN = 0.9
# Time of products of bytes in pairs by that of products of floats.
_PAIRS_COST = 0.85
#: In the names of the functions.
INPUT, PRODUCTS, OUTPUT = "winograd_input", "winograd_products", "winograd_output"
# TVM's pattern kind of what is fused with nothing.


@dataclass(frozen=True, slots=True)
class ConvolutionShape:
    """Shapes (N, H, W, channels) of what a 3 × 3 convolution of stride 1 reads and computes, or (N, D, H, W, channels).

    taps: planes of the kernel; groups: of channels.
    """

    data: tuple[int, ...]
    result: tuple[int, ...]
    taps: int = 1
    groups: int = 1

    @property
    def weights(self) -> tuple[int, ...]:
        """The shape of the weights."""
        depth = (self.taps,) if len(self.data) == _VOLUME else ()
        return (*depth, _KERNEL, _KERNEL, self.data[-1] // self.groups, self.result[-1])

    @property
    def direct_cost(self) -> float:
        """Expected time of the convolution, in multiply-adds."""
        weights = prod(self.weights)
        return prod(self.result[:-1]) * weights + _STREAMED * _BYTES * weights

    @property
    def transformed_cost(self) -> float:
        """Expected time of the same by transformed tiles, in multiply-adds."""
        taken, (*_, height, width, made) = self.data[-1], self.result
        tiles = -(-height // TILE) * -(-width // TILE)
        weights = WINDOW * WINDOW * self.taps * (taken // self.groups) * made
        planes_taken, planes_made = prod(self.data[:-3]), prod(self.result[:-3])
        moved = (height * width + WINDOW * WINDOW * tiles) * (planes_taken * taken + planes_made * made)
        products = _SLOWER_PRODUCTS * planes_made * tiles * weights
        return products + _BYTES * (_MOVED * moved + _STREAMED * weights)


#: Whether to transform a convolution that may be transformed.
Choice = Callable[[ConvolutionShape], bool]


def where_expected(shape: ConvolutionShape) -> bool:
    """The choice without measurements: where the transformed form is expected to be faster."""
    return shape.transformed_cost < _LEAST_GAIN * shape.direct_cost


def where_expected_of_bytes(shape: ConvolutionShape) -> bool:
    """As `where_expected`, beside a direct form that multiplies bytes in pairs."""
    return shape.transformed_cost < _LEAST_GAIN * _PAIRS_COST * shape.direct_cost


def never(shape: ConvolutionShape) -> bool:
    """The choice of direct forms."""
    return False


def with_winograd(module: tvm.IRModule, unit: VectorUnit, choice: Choice = where_expected) -> tvm.IRModule:
    """The module with NHWC convolutions of constant 3 × 3 weights and stride 1 as transformed products.

    ``conv2d(x, w)`` → ``output_tiles(matmul(input_tiles(x), w'))`` with ``w'`` computed here, four times as large as
    ``w``; of NDHWC volumes ``output_tiles(tile_products(input_tiles(x), w'))``, and so of groups.
    What follows the convolution is fused into the last. A convolution of few or odd channels, or of so few
    results that the larger weights take longer to read, stays, and so does one that `choice` is against.
    """
    return rewritten(module, _Rewriter(module, unit, choice))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(self, module: tvm.IRModule, unit: VectorUnit, choice: Choice) -> None:
        super().__init__(module)
        self._unit, self._choice = unit, choice

    def visit_call_(self, call: Any) -> Any:
        """The call, or its transformed form."""
        call = self.visit_expr_post_order(call)
        shape = transformable(call, self._unit, self.lookup_binding)
        if shape is None or not (where_expected(shape) and self._choice(shape)):
            return call
        top, left = (int(pad) for pad in list(call.attrs.padding)[len(shape.data) - 4 :][:2])
        rows, columns = (-(-size // TILE) for size in shape.result[-3:-1])
        weights = bound(call.args[1], self.lookup_binding).value.numpy()

        def taken(image: te.Tensor) -> te.Tensor:
            return input_tiles(image, (top, left), (rows, columns))

        def made(products: te.Tensor) -> te.Tensor:
            return output_tiles(products, shape.result)

        tiles = self._emit(taken, [call.args[0]], INPUT, OPAQUE)
        products = self._products(call, shape, tiles, weights)
        return self._emit(made, [products], OUTPUT, FUSED_BEHIND)

    def _products(self, call: Any, shape: ConvolutionShape, tiles: Any, weights: Any) -> Any:
        if len(shape.data) != _VOLUME and shape.groups == 1:
            return self.builder_.emit(
                relax.op.matmul(tiles, relax.const(transformed_weights(weights), "float32"))
            )
        depth = Depth(shape.data[0], 1, 1, 1, 0)
        if len(shape.data) == _VOLUME:
            stride, before = int(call.attrs.strides[0]), int(call.attrs.padding[0])
            depth = Depth(shape.data[0], shape.data[1], shape.result[1], stride, before)

        def added(windows: te.Tensor, kernel: te.Tensor) -> te.Tensor:
            return tile_products(windows, kernel, depth)

        grouped = relax.const(grouped_weights(weights, shape.groups), "float32")
        return self._emit(added, [tiles, grouped], PRODUCTS, OPAQUE)

    def _emit(self, compute: Any, operands: list[Any], name: str, pattern: int) -> Any:
        attrs = {PATTERN: pattern}
        return self.builder_.emit_te(compute, *operands, primfunc_name_hint=name, primfunc_attrs=attrs)


def transformable(call: Any, unit: VectorUnit, lookup: Lookup) -> ConvolutionShape | None:
    """The shape of a convolution that may be transformed, None for any other call."""
    if not is_call(call, *_CONVOLUTIONS) or not has_channels_last(call):
        return None
    weight = bound(call.args[1], lookup)
    steps = [int(step) for step in (*list(call.attrs.strides)[-2:], *call.attrs.dilation)]
    kinds = {str(one.ty.dtype.dtype) for one in (call, *call.args)}
    data, kernel, result = map(static_shape, (*call.args[:2], call))
    if not isinstance(weight, tvm.ir.GenericConst) or set(steps) != {1} or kinds != {"float32"}:
        return None
    if data is None or kernel is None or result is None or kernel[-4:-2] != (_KERNEL, _KERNEL):
        return None
    groups = int(call.attrs.groups)
    has_full_vectors = kernel[-2] % unit.lanes == 0 and kernel[-1] % (groups * unit.lanes) == 0
    taps = kernel[0] if len(data) == _VOLUME else 1
    return ConvolutionShape(data, result, taps, groups) if has_full_vectors else None
