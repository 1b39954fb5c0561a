"""Products of small integers that a graph takes in floats, as sums of products of words (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax, te
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    FUSED_BEHIND,
    PATTERN,
    Lookup,
    bound,
    is_call,
    is_plain_nhwc,
    rewritten,
    static_shape,
    uses,
)
from autotune.models.passes.winograd import Choice, transformable, where_expected, where_expected_of_bytes
from search_spaces.tensor_ir.vector_unit import vector_unit
from search_spaces.tensor_ir.word_instructions import PAIR_PRODUCT, WordProduct, word_products
from search_spaces.tensor_ir.word_products import (
    Windows,
    conv2d_of_words,
    matmul_of_words,
    packed,
    repeated,
    without_offset,
    words,
)

_FLOATS = ("float32", "float64")
_BYTES = ("int8", "uint8")
# The magnitudes beyond 16-bit integers and sums in int32, and the values of a byte.
_OVER_HALF, _OVER_WORD, _MOST_BYTE = 1 << 15, 1 << 31, 255
# Their results are values of their first operand.
_VALUES = frozenset(
    f"relax.{name}"
    for name in ("astype", "permute_dims", "reshape", "expand_dims", "squeeze", "strided_slice")
)
_WEIGHT_RANKS = {"relax.matmul": 2, "relax.nn.conv2d": 4}

# A product of words of data, words of weights, and what was added to the data.
_Compute = Callable[[te.Tensor, te.Tensor, Any], te.Tensor]


def with_word_products(
    module: tvm.IRModule, target: tvm.target.Target, choice: Choice = where_expected
) -> tvm.IRModule:
    """The module with products of quantized data and constant weights of whole numbers in int32, where that is faster.

    ``matmul(x, w)`` → ``astype(matmul_of_words(words(x), packed(w)))`` for an x that is computed from 8-bit integers
    less their zero point; NHWC convolutions of one group likewise. Where the target multiplies bytes, x keeps its zero
    point z, and ``z * sum(w)`` is subtracted afterwards. The results are exact, and casts of them to int32 are
    dropped. What follows is fused.

    A 3 × 3 convolution stays in floats where the target has pairs alone, its results become floats at once, and
    Winograd's form, which `choice` may be against, is expected to be faster: it is as exact as sums of floats are.
    """
    products = word_products(target)
    if not products:
        return module
    unit = vector_unit(target)

    def is_transformed(call: Any, lookup: Lookup) -> bool:
        shape = transformable(call, unit, lookup) if products == (PAIR_PRODUCT,) else None
        return shape is not None and where_expected_of_bytes(shape) and choice(shape)

    return rewritten(module, _Rewriter(module, products, is_transformed))


@dataclass(frozen=True)
class _Form:
    """A product, and what is added to the data's integers before they are packed: a number, and a scalar variable."""

    product: WordProduct
    offset: int = 0
    zero: Any = None


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def __init__(
        self,
        module: tvm.IRModule,
        products: tuple[WordProduct, ...],
        is_transformed: Callable[[Any, Lookup], bool],
    ) -> None:
        super().__init__(module)
        self._kinds, self._is_transformed, self._uses = products, is_transformed, uses(module)
        # Convolutions in floats by their results in int32.
        self._floats: dict[Any, Any] = {}
        # The words of data, and the products in int32 of those in floats.
        self._words: dict[Any, Any] = {}
        self._products: dict[Any, Any] = {}

    def visit_call_(self, call: Any) -> Any:
        """The call, or its product of words."""
        original = call
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.astype"):
            return self._cast(original, call)
        weights = self._weights(call)
        forms = (self._form(kind, call.args[0], weights) for kind in self._kinds if weights is not None)
        form = next((each for each in forms if each is not None), None)
        if weights is None or form is None:
            return call
        product = self._product(call, weights, form)
        real = self.builder_.emit(relax.op.astype(product, str(call.ty.dtype.dtype)))
        self._products[real] = product
        if self._is_transformed(call, self.lookup_binding):
            self._floats[product] = call
        return real

    def _cast(self, original: Any, call: Any) -> Any:
        """A cast, the product in int32 of what is cast to that, or the convolution in floats of what is cast back."""
        source = self._source(call.args[0])
        dtype = str(call.ty.dtype.dtype)
        if dtype == "int32":
            return self._products.get(source, call)
        is_only = self._uses[original.args[0]] == 1 and dtype == "float32"
        return self._floats.get(source, call) if is_only else call

    def _product(self, call: Any, weights: npt.NDArray[Any], form: _Form) -> Any:
        """The product of words in int32, with what the data's offset adds taken off."""
        data, kind = call.args[0], form.product
        zeros = () if form.zero is None else (form.zero,)
        if (data, kind.operator) not in self._words:
            self._words[data, kind.operator] = self.builder_.emit_te(
                lambda x, *zero: words(x, kind, _offset(form.offset, zero)),
                data,
                *zeros,
                primfunc_name_hint="words",
            )
        is_matmul = is_call(call, "relax.matmul")
        compute = _matmul(kind) if is_matmul else _convolution(call, kind)
        sums = weights.sum(axis=tuple(range(weights.ndim - 1)), dtype=np.int64)

        def centred(x: te.Tensor, w: te.Tensor, *rest: te.Tensor) -> te.Tensor:
            offset = _offset(form.offset, rest[1:])
            found = compute(x, w, offset)
            return found if not rest else without_offset(found, rest[0], offset)

        is_shifted = form.zero is not None or form.offset != 0
        return self.builder_.emit_te(
            centred,
            self._words[data, kind.operator],
            relax.const(packed(weights, kind, weights.ndim - 2), "int32"),
            *((relax.const(sums.astype(np.int32), "int32"), *zeros) if is_shifted else ()),
            primfunc_name_hint=f"{kind.name}_{'matmul' if is_matmul else 'conv2d'}",
            primfunc_attrs={PATTERN: FUSED_BEHIND},
        )

    def _form(self, product: WordProduct, data: Any, weights: npt.NDArray[Any]) -> _Form | None:
        """Form in which data and weights are operands of a product, None where their products would not be exact."""
        sums = np.abs(weights).sum(axis=tuple(range(weights.ndim - 1)), dtype=np.float64)
        if product is PAIR_PRODUCT:
            range_ = integer_range(data, self.lookup_binding)
            most = max(map(abs, range_ or (_OVER_HALF,)))
            is_exact = max(most, np.abs(weights).max()) < _OVER_HALF and sums.max() * most < _OVER_WORD
            return _Form(product) if is_exact else None
        bytes_ = byte_source(data, self.lookup_binding)
        limits = np.iinfo(np.int8)
        is_exact = weights.min() >= limits.min and weights.max() <= limits.max
        if bytes_ is None or not is_exact or sums.max() * _MOST_BYTE >= _OVER_WORD:
            return None
        return _bytes_form(product, *bytes_)

    def _source(self, expr: Any) -> Any:
        """The first variable of those that are bound to each other."""
        while isinstance(expr, relax.Var) and isinstance(found := self.lookup_binding(expr), relax.Var):
            expr = found
        return expr

    def _weights(self, call: Any) -> npt.NDArray[Any] | None:
        """The integers of a call that may become a product of pairs, None for any other."""
        rank = next((rank for name, rank in _WEIGHT_RANKS.items() if is_call(call, name)), None)
        if rank is None or (rank == 4 and not is_plain_nhwc(call)):
            return None
        weight = bound(call.args[1], self.lookup_binding)
        kinds = {str(one.ty.dtype.dtype) for one in (call, *call.args)}
        if not isinstance(weight, tvm.ir.GenericConst) or len(kinds) > 1 or not kinds <= {*_FLOATS}:
            return None
        if static_shape(call.args[0]) is None:
            return None
        values = weight.value.numpy()
        is_whole = values.ndim == rank and min(values.shape) > 0 and np.array_equal(values, np.rint(values))
        return values if is_whole else None


def _bytes_form(product: WordProduct, dtype: str, zero: Any) -> _Form:
    limits = np.iinfo(dtype)
    least = np.iinfo(np.int8).min if product.is_signed else 0
    offset = least - int(limits.min)
    if isinstance(zero, tvm.ir.GenericConst):
        return _Form(product, offset + int(zero.value.numpy().item()))
    return _Form(product, offset, zero)


def _matmul(kind: WordProduct) -> _Compute:
    """The product of matrices of words, whatever the offset."""
    return lambda x, w, _: matmul_of_words(x, w, kind)


def _convolution(call: Any, kind: WordProduct) -> _Compute:
    """The convolution of words with the windows of a call, padded by an offset."""
    strides, padding, dilation = (
        [int(step) for step in each] for each in (call.attrs.strides, call.attrs.padding, call.attrs.dilation)
    )
    return lambda x, w, offset: conv2d_of_words(
        x, w, kind, Windows(strides, padding, dilation, repeated(offset, kind))
    )


def _offset(offset: int, zero: tuple[te.Tensor, ...]) -> Any:
    """The number that is added to data, with the first value of a tensor where there is one."""
    if not zero:
        return tvm.tirx.const(offset, "int32")
    [tensor] = zero
    return tensor(*[0] * len(tensor.shape)).astype("int32") + offset


def integer_range(expr: Any, lookup: Lookup) -> tuple[float, float] | None:
    """The least and the largest value of a tensor that is known to hold integers of few bits; None for any other.

    Known are 8-bit integers in any dtype, constants, differences, and views of these.
    """
    value = bound(expr, lookup)
    if isinstance(value, tvm.ir.GenericConst):
        found = value.value.numpy()
        is_whole = found.size > 0 and bool((found == np.rint(found)).all())
        return (float(found.min()), float(found.max())) if is_whole else None
    if str(value.ty.dtype.dtype) in _BYTES:
        limits = np.iinfo(str(value.ty.dtype.dtype))
        return float(limits.min), float(limits.max)
    if is_call(value, "relax.subtract"):
        left, right = (integer_range(each, lookup) for each in value.args)
        return None if left is None or right is None else (left[0] - right[1], left[1] - right[0])
    return integer_range(value.args[0], lookup) if _is_view(value) else None


def byte_source(expr: Any, lookup: Lookup) -> tuple[str, Any] | None:
    """The dtype of the 8-bit integers that a tensor has the values of, less a number, and that number, a constant or a
    variable, or None for 0; None for any other tensor.

    Views and casts may lie between them.
    """
    value, zero = bound(expr, lookup), None
    while (dtype := str(value.ty.dtype.dtype)) not in _BYTES:
        if is_call(value, "relax.subtract") and zero is None and _is_number(value.args[1]):
            constant = bound(value.args[1], lookup)
            zero = constant if isinstance(constant, tvm.ir.GenericConst) else value.args[1]
        elif not _is_view(value):
            return None
        value = bound(value.args[0], lookup)
    if zero is None:
        return dtype, None
    range_, limits = integer_range(zero, lookup), np.iinfo(dtype)
    is_byte = range_ is not None and limits.min <= range_[0] and range_[1] <= limits.max
    return (dtype, zero) if is_byte else None


def _is_view(value: Any) -> bool:
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") in _VALUES


def _is_number(expr: Any) -> bool:
    shape = static_shape(expr)
    return shape is not None and prod(shape) == 1
