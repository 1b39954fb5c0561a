"""Convolutions without the ends of their kernels that read nothing but padding (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.float32_sums import called_anew
from autotune.models.passes.rewriting import is_constant, rewritten, static_shape

# With the layouts of their data and weights.
_CONVOLUTIONS = {
    "relax.nn.conv1d": ("NCW", "OIW"),
    "relax.nn.conv2d": ("NCHW", "OIHW"),
    "relax.nn.conv3d": ("NCDHW", "OIDHW"),
}
# Of data and of weights: their axes before those of the image.
_OUTER = 2


def with_trimmed_kernels(module: tvm.IRModule) -> tvm.IRModule:
    """The module with channels-first convolutions of constant weights whose outer taps all read some of the image.

    A 3 × 3 kernel of dilation 24 on an image of 16 × 16, as in the head of a DeepLab, is one of 1 × 1; so is each plane
    of a kernel on a volume of a single plane.
    """
    return rewritten(module, _Rewriter(module))


@dataclass(frozen=True)
class _Axis:
    """One axis of a convolution, its sizes in elements."""

    taken: int
    made: int
    taps: int
    stride: int
    dilation: int
    before: int
    after: int

    def trimmed(self) -> tuple[int, int]:
        """The first tap that is needed, and the one behind the last; all of them where padding would become a cut."""
        used = [tap for tap in range(self.taps) if self._reads_image(tap)]
        if not used:
            return 0, self.taps
        first, last = used[0], used[-1] + 1
        before, after = self.padding(first, last)
        return (first, last) if before >= 0 and after >= 0 else (0, self.taps)

    def padding(self, first: int, last: int) -> tuple[int, int]:
        """The padding that is left for these taps."""
        return self.before - first * self.dilation, self.after - (self.taps - last) * self.dilation

    def _reads_image(self, tap: int) -> bool:
        offset = tap * self.dilation - self.before
        first_inside = max(-(offset // self.stride), 0)
        return first_inside < self.made and first_inside * self.stride + offset < self.taken


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the one with a smaller kernel."""
        call = self.visit_expr_post_order(call)
        layouts = _CONVOLUTIONS.get(getattr(call.op, "name", ""))
        if layouts is None or (str(call.attrs.data_layout), str(call.attrs.kernel_layout)) != layouts:
            return call
        return self._trimmed(call)

    def _trimmed(self, call: Any) -> Any:
        axes = _axes(call) if is_constant(call.args[1], self.lookup_binding) else []
        kept = [axis.trimmed() for axis in axes]
        if all(taps == (0, axis.taps) for taps, axis in zip(kept, axes, strict=True)):
            return call
        places = [_OUTER + place for place in range(len(axes))]
        weights = relax.op.strided_slice(
            call.args[1], places, *([taps[end] for taps in kept] for end in (0, 1))
        )
        padding = [axis.padding(*taps) for axis, taps in zip(axes, kept, strict=True)]
        operands = [call.args[0], self.builder_.emit(weights)]
        return called_anew(call, operands, padding=[size[end] for end in (0, 1) for size in padding])


def _axes(call: Any) -> list[_Axis]:
    """The axes of the image; none where sizes are not known."""
    shapes = [static_shape(one) for one in (*call.args[:2], call)]
    if any(shape is None for shape in shapes):
        return []
    data, kernel, result = (shape[_OUTER:] for shape in shapes if shape is not None)
    attrs, count = call.attrs, len(data)
    strides, dilations, padding = (
        [int(size) for size in sizes] for sizes in (attrs.strides, attrs.dilation, attrs.padding)
    )
    numbers = zip(data, result, kernel, strides, dilations, padding[:count], padding[count:], strict=True)
    return [_Axis(*each) for each in numbers]
