"""One-dimensional convolutions as those of images of one row (imports TVM)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from autotune.models.passes.rewriting import ELEMENTWISE, bound, is_call, rewritten

_CONVOLUTION = "relax.nn.conv1d"
# The axis of the one row, in [batch, channels, rows, columns].
_ROWS = 2
_SEQUENCE_AXES, _IMAGE_AXES = 3, 4


def with_lifted_convolutions(module: tvm.IRModule) -> tvm.IRModule:
    """The module with convolutions of sequences, and the elementwise operators between them, on images of one row.

        y[1, 64, 800] = relu(conv1d(x))  →  y = squeeze(relu(conv2d(expand_dims(x))))

    As images they are laid out with channels last, and fill vectors, as convolutions of images do: channels first, a
    convolution of stride 2 ran at a fiftieth of the peak.
    """
    return rewritten(module, _Rewriter(module))


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Visits each call after its operands were visited."""

    def visit_call_(self, call: Any) -> Any:
        """The call, or the sequence that the call on images gives."""
        call = self.visit_expr_post_order(call)
        if is_call(call, "relax.expand_dims") and [int(axis) for axis in call.attrs.axis] == [_ROWS]:
            image = self._given_image(call.args[0])
            return call if image is None else image
        if is_call(call, _CONVOLUTION):
            lifted = self._convolution(call)
        elif is_call(call, "relax.concat"):
            lifted = self._concatenation(call)
        else:
            lifted = self._elementwise(call)
        if lifted is None:
            return call
        return relax.op.squeeze(self.builder_.emit(lifted), [_ROWS])

    def _convolution(self, call: Any) -> Any:
        attrs = call.attrs
        if (str(attrs.data_layout), str(attrs.kernel_layout)) != ("NCW", "OIW"):
            return None
        left, right = (int(size) for size in attrs.padding)
        weight = self._raised(call.args[1])
        return relax.op.nn.conv2d(
            self._image(call.args[0]),
            self.builder_.emit(relax.op.expand_dims(call.args[1], _ROWS)) if weight is None else weight,
            strides=(1, int(attrs.strides[0])),
            padding=(0, left, 0, right),
            dilation=(1, int(attrs.dilation[0])),
            groups=int(attrs.groups),
            out_dtype=attrs.out_dtype,
        )

    def _concatenation(self, call: Any) -> Any:
        """A concatenation of the channels of sequences that images give."""
        fields = bound(call.args[0], self.lookup_binding)
        axis = call.attrs.axis
        if not isinstance(fields, relax.Tuple) or axis is None or int(axis) != 1:
            return None
        images = [self._given_image(field) for field in fields.fields]
        return None if None in images else relax.op.concat(images, 1)

    def _elementwise(self, call: Any) -> Any:
        if not isinstance(call.op, tvm.ir.Op) or call.op.name not in ELEMENTWISE:
            return None
        if not any(self._given_image(operand) is not None for operand in call.args):
            return None
        operands = [self._operand(operand) for operand in call.args]
        return None if None in operands else relax.Call(call.op, operands, call.attrs)

    def _operand(self, operand: Any) -> Any:
        """An operand as one that meets images; None for one that cannot be."""
        image = self._given_image(operand)
        if image is not None:
            return image
        if not hasattr(getattr(operand, "ty", None), "shape"):
            return operand  # a number, such as the ends of a clip
        raised = self._raised(operand)
        if raised is not None:
            return raised
        return self._image(operand) if len(operand.ty.shape or ()) == _SEQUENCE_AXES else None

    def _raised(self, operand: Any) -> Any:
        """A constant with the axis of rows, where it has channels; None for any other operand."""
        value = bound(operand, self.lookup_binding)
        if not isinstance(value, tvm.ir.GenericConst):
            return None
        numbers = value.value.numpy()
        if numbers.ndim < _SEQUENCE_AXES - 1:
            return value
        return relax.const(np.expand_dims(numbers, -2), str(numbers.dtype))

    def _image(self, sequence: Any) -> Any:
        given = self._given_image(sequence)
        return self.builder_.emit(relax.op.expand_dims(sequence, _ROWS)) if given is None else given

    def _given_image(self, sequence: Any) -> Any:
        """The image of one row that a sequence is made of, if it is."""
        value = bound(sequence, self.lookup_binding)
        if not is_call(value, "relax.squeeze") or len(value.args[0].ty.shape or ()) != _IMAGE_AXES:
            return None
        axes = [int(axis) for axis in value.attrs.axis or ()]
        return value.args[0] if axes == [_ROWS] else None
