"""Resizes, pools and concatenations of channels-last images that are given as channels-first ones (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    bound,
    is_call,
    permutation,
    rewritten,
)

# Tokens, whose features come last, as channels of a sequence.
_TOKENS_TO_FIRST = [0, 2, 1]
# The attributes of each operator beside its layouts.
_POOL = ("pool_size", "strides", "dilation", "padding", "ceil_mode", "count_include_pad")
_RESIZE = (
    "roi", "method", "coordinate_transformation_mode", "rounding_method", "cubic_alpha", "cubic_exclude",
    "extrapolation_value", "out_dtype",
)  # fmt: skip
_OPERATORS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "relax.image.resize2d": ("Resize2DAttrs", _RESIZE, ("layout",)),
    "relax.nn.max_pool2d": ("Pool2DAttrs", _POOL, ("layout", "out_layout")),
    "relax.nn.avg_pool2d": ("Pool2DAttrs", _POOL, ("layout", "out_layout")),
}


def with_channels_last_images(module: tvm.IRModule) -> tvm.IRModule:
    """The module with resizes, pools and concatenations on channels-last data where channels lie together in memory.

        resize2d(reshape(permute_dims(tokens)), NCHW)  →  permute_dims(resize2d(permute_dims(…), NHWC))

    Layout conversion begins at convolutions, and leaves what a transformer does with its tokens as images before
    them: a pixel of all channels was gathered number by number.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the channels-first image of the call on channels-last ones."""
        call = self.visit_expr_post_order(call)
        last = self._concatenation(call) if is_call(call, "relax.concat") else self._sampling(call)
        return call if last is None else relax.op.permute_dims(self.builder_.emit(last), TO_CHANNELS_FIRST)

    def _sampling(self, call: Any) -> Any:
        operator = _OPERATORS.get(getattr(call.op, "name", ""))
        if operator is None or str(call.attrs.layout) != "NCHW" or not self._is_channels_last(call.args[0]):
            return None
        kind, names, layouts = operator
        fields = {name: getattr(call.attrs, name) for name in names} | dict.fromkeys(layouts, "NHWC")
        attrs = tvm.ir.make_node(f"relax.attrs.{kind}", **fields)
        return relax.Call(call.op, [self._last(call.args[0]), *list(call.args)[1:]], attrs)

    def _concatenation(self, call: Any) -> Any:
        """A concatenation of channels of images that all have them last."""
        images = bound(call.args[0], self.lookup_binding)
        axis = call.attrs.axis
        if not isinstance(images, relax.Tuple) or axis is None or int(axis) != 1:
            return None
        if not all(self._is_channels_last(image) for image in images.fields):
            return None
        return relax.op.concat([self._last(image) for image in images.fields], 3)

    def _last(self, image: Any) -> Any:
        """The channels-last image of a channels-first one."""
        value = bound(image, self.lookup_binding)
        if is_call(value, "relax.permute_dims"):
            return value.args[0]
        return self.builder_.emit(relax.op.permute_dims(image, TO_CHANNELS_LAST))

    def _is_channels_last(self, image: Any) -> bool:
        """Whether an image of [batch, channels, rows, columns] is a view of one whose channels lie together."""
        value = bound(image, self.lookup_binding)
        if is_call(value, "relax.permute_dims"):
            return permutation(value) == TO_CHANNELS_FIRST
        if not is_call(value, "relax.reshape") or len(value.ty.shape) != len(TO_CHANNELS_FIRST):
            return False
        tokens = bound(value.args[0], self.lookup_binding)
        is_turned = is_call(tokens, "relax.permute_dims") and permutation(tokens) == _TOKENS_TO_FIRST
        kept = zip(list(value.ty.shape)[:2], list(tokens.ty.shape)[:2], strict=True)
        return is_turned and all(tvm_ffi.structural_equal(mine, theirs) for mine, theirs in kept)
