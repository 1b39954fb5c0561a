"""Traversal of Relax modules and predicates on expressions, shared by the graph passes (imports TVM)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator

#: Operators of one tensor, or of several that are broadcast to each other.
ELEMENTWISE = frozenset(
    f"relax.{name}"
    for name in (
        "abs", "acos", "acosh", "add", "asin", "asinh", "astype", "atan", "atanh", "ceil", "clip", "cos", "cosh",
        "divide", "erf", "exp", "floor", "log", "maximum", "minimum", "multiply", "negative", "nn.gelu",
        "nn.gelu_tanh", "nn.leakyrelu", "nn.relu", "nn.selu", "nn.silu", "nn.softplus", "power", "round", "rsqrt",
        "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "trunc", "where",
    )
)  # fmt: skip
#: Permutations of images between [batch, rows, columns, channels] and [batch, channels, rows, columns].
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
#: The attribute of a tensor program that has its kind for TVM's fusion: what elementwise operators are fused into, and
#: what is fused with nothing.
PATTERN = "op_pattern"
FUSED_BEHIND, OPAQUE = 4, 8
_IMAGE_AXES = 4
#: What a variable is bound to, None for a parameter: `PyExprMutator.lookup_binding`.
Lookup = Callable[[Any], Any]


def rewritten(module: tvm.IRModule, rewriter: PyExprMutator) -> tvm.IRModule:
    """The module that the rewriter was made for, with its Relax functions rewritten and without what became unused."""
    for name, func in module.functions_items():
        if isinstance(func, relax.Function):
            rewriter.builder_.update_func(name, rewriter.visit_expr(func))
    return relax.transform.DeadCodeElimination()(rewriter.builder_.get())


def is_call(expr: Any, *names: str) -> bool:
    """Whether it calls one of these operators."""
    return isinstance(expr, relax.Call) and getattr(expr.op, "name", "") in names


def concatenated(value: Any, axes: Container[int], lookup: Lookup) -> list[Any]:
    """The operands of a concatenation of images along one of these axes; empty for any other expression."""
    if not is_call(value, "relax.concat") or len(value.ty.shape) != _IMAGE_AXES:
        return []
    fields, axis = bound(value.args[0], lookup), value.attrs.axis
    is_along = axis is not None and int(axis) in axes
    return list(fields.fields) if is_along and isinstance(fields, relax.Tuple) else []


def has_channels_last(convolution: Any) -> bool:
    """Whether a convolution of images, or of volumes, has its channels last in all three tensors."""
    attrs = convolution.attrs
    layouts = (str(attrs.data_layout), str(attrs.kernel_layout), str(attrs.out_layout))
    return layouts in (("NHWC", "HWIO", "NHWC"), ("NDHWC", "DHWIO", "NDHWC"))


def is_plain_nhwc(convolution: Any) -> bool:
    """Whether a convolution of images, or of volumes, has its channels last in all three tensors, and one group."""
    return has_channels_last(convolution) and int(convolution.attrs.groups) == 1


def static_shape(expr: Any) -> tuple[int, ...] | None:
    """The shape of a tensor, None where a size is not known."""
    sizes = list(expr.ty.shape)
    return tuple(map(int, sizes)) if all(isinstance(size, tvm.tirx.IntImm) for size in sizes) else None


def permutation(call: Any) -> list[int]:
    """The axes of a permute_dims; empty where it reverses them."""
    return [int(axis) for axis in call.attrs.axes or ()]


def bound(expr: Any, lookup: Lookup) -> Any:
    """The expression that a variable is bound to, through other variables; any other expression itself."""
    while isinstance(expr, relax.Var):
        found = lookup(expr)
        if found is None:
            return expr
        expr = found
    return expr


def is_constant(expr: Any, lookup: Lookup) -> bool:
    """Whether it is a constant, or a constant in another layout."""
    value = bound(expr, lookup)
    while is_call(value, "relax.permute_dims") or is_call(value, "relax.reshape"):
        value = bound(value.args[0], lookup)
    return isinstance(value, tvm.ir.GenericConst)


def uses(module: tvm.IRModule) -> Counter[Any]:
    """The number of reads of each variable in the module's functions."""
    found: Counter[Any] = Counter()

    def count(expr: Any) -> None:
        if isinstance(expr, relax.Call):
            operands = list(expr.args)
        elif isinstance(expr, relax.Tuple):
            operands = list(expr.fields)
        elif isinstance(expr, relax.SeqExpr):
            # Other names of a variable, and the result.
            values = [
                each.value for block in expr.blocks for each in block.bindings if hasattr(each, "value")
            ]
            operands = [*values, expr.body]
        else:
            return
        found.update(operand for operand in operands if isinstance(operand, relax.Var))

    for _, func in module.functions_items():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func, count)
    return found
