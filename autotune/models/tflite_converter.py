"""TVM's converter of TFLite operators, with what it lacks (imports the tflite package and TVM)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx
import tflite
import tvm
from tvm import relax
from tvm.relax.frontend.tflite import tflite_frontend

from autotune.models.constant_expressions import values_of
from autotune.models.fourier_expressions import real_transform
from autotune.models.onnx_passes.tensor_types import TensorType
from autotune.models.origin import Origin, Origins
from autotune.models.passes.rewriting import static_shape
from search_spaces.errors import Misuse, last_line

# A complex number is a real and an imaginary part.
_PARTS = 2
#: Element types by TFLite's number of them.
DTYPES = {
    getattr(tflite.TensorType, name.upper()): name
    for name in (
        "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
        "bool",
    )
}  # fmt: skip


class OperatorConverter(tflite_frontend.OperatorConverter):  # type: ignore[misc]
    """TVM's converter of operators; an error names the operator and its output.

    Operators whose inputs are known are computed at once: sizes that a file computes from the shapes of its tensors
    are then numbers, which TVM's converters of slices, reshapes and the like need.
    nodes, origins: of the file, set in a subclass, since TVM makes converters of the subgraphs of If and While itself.
    """

    nodes: ClassVar[dict[str, Origin]]
    origins: ClassVar[Origins]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: dict[int, npt.NDArray[Any]] = {}
        self.convert_map: dict[str, Callable[..., Any]] = {
            name: functools.partial(self._named, name, convert) for name, convert in self.convert_map.items()
        }

    def _named(self, operator: str, convert: Callable[..., Any], op: Any) -> Any:
        try:
            result = convert(op=op)
            self._remember(op, result)
            return result
        except Misuse:
            raise
        except Exception as error:
            tensor = self.subgraph.Tensors(op.Outputs(0))
            output = tflite_frontend.get_tensor_name(self.subgraph, op.Outputs(0))
            self.nodes[output] = Origin("", operator, output, _type(tensor))
            raise self.origins.refusal(output, f"TVM {tvm.__version__} says {last_line(error)}") from error

    def _remember(self, op: Any, result: Any) -> None:
        """Keeps the values of an operator's outputs where all that it reads is known."""
        if isinstance(result, relax.Expr) and all(map(self._is_known, op.InputsAsNumpy())):
            values = values_of(self.bb.normalize(result), self.bb.lookup_binding)
            if len(values) == op.OutputsLength():
                self._known.update(zip(map(int, op.OutputsAsNumpy()), values, strict=True))

    def _is_known(self, place: int) -> bool:
        return place < 0 or not self.has_expr(int(place))

    def has_expr(self, input_tensor_idx: int) -> bool:
        """Whether a tensor is an input or computed from one."""
        return input_tensor_idx not in self._known and bool(super().has_expr(input_tensor_idx))

    def get_expr(self, input_tensor_idx: int) -> Any:
        """The expression of a tensor, which may be a constant of the file."""
        if self.has_expr(input_tensor_idx):
            return super().get_expr(input_tensor_idx)
        return self.get_tensor_expr(*self.get_tensors([input_tensor_idx]))

    def get_tensor_shape(self, tensor_wrapper: Any) -> Any:
        """The shape of a tensor: the computed one, since files have shapes of 1 where TensorFlow knew none."""
        place = int(tensor_wrapper.tensor_idx)
        type_ = self.get_expr(place).ty if self.has_expr(place) else None
        shape = static_shape(self.get_expr(place)) if isinstance(type_, relax.TensorType) else None
        if shape is None:
            return super().get_tensor_shape(tensor_wrapper)
        is_complex = tensor_wrapper.tensor.Type() == tflite.TensorType.COMPLEX64
        return np.array(shape[:-1] if is_complex else shape, np.int32)

    def get_tensor_value(self, tensor_wrapper: Any, *args: Any, **options: Any) -> Any:
        """The numbers of a tensor that is constant, or computed of constants, or stored sparse and made dense."""
        place = int(tensor_wrapper.tensor_idx)
        if place in self._known:
            return self._known[place]
        if self.is_prefetched(place):
            return self.get_prefetched_node(place)
        shape = shape_of(tensor_wrapper.tensor)
        if 0 in shape:  # no bytes, which TVM's own takes for an error
            return np.zeros(shape, self.get_tensor_type_as_numpy(tensor_wrapper))
        return super().get_tensor_value(tensor_wrapper, *args, **options)

    def convert_shape(self, op: Any) -> Any:
        """The sizes of a tensor as numbers."""
        [tensor] = self.get_input_tensors(op)
        sizes = np.array(
            self.get_tensor_shape(tensor), np.dtype(DTYPES[self.subgraph.Tensors(op.Outputs(0)).Type()])
        )
        self._known[int(op.Outputs(0))] = sizes
        return relax.const(sizes)

    def convert_rfft2d(self, op: Any) -> Any:
        """The spectra as TVM computes them; of rows alone by matrix products: TVM's takes minutes to compile."""
        data, lengths = self.get_input_tensors(op)
        height, width = map(int, self.get_tensor_value(lengths))
        *before, rows, columns = map(int, self.get_tensor_shape(data))
        if height != 1 or (rows, columns) != (height, width):
            return super().convert_rfft2d(op)
        flat = self.bb.normalize(relax.op.reshape(self.get_tensor_expr(data), [prod(before), width]))
        found = real_transform(self.bb, flat)
        return relax.op.reshape(found, [*before, 1, width // 2 + 1, _PARTS])

    def convert_squeeze(self, op: Any) -> Any:
        """The tensor without axes of size 1; those of complex numbers are counted without the axis of the pairs."""
        [data] = self.get_input_tensors(op)
        if data.tensor.Type() != tflite.TensorType.COMPLEX64:
            return super().convert_squeeze(op)
        options = tflite.SqueezeOptions()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        pairs = self.get_tensor_expr(data)
        axes = [int(axis) % (pairs.ty.ndim - 1) for axis in options.SqueezeDimsAsNumpy()]
        return relax.op.squeeze(pairs, axes)

    def convert_cast(self, op: Any) -> Any:
        """The numbers as another type; of complex ones, which are pairs to TVM, the real part."""
        [data], [result] = self.get_input_tensors(op), self.get_output_tensors(op)
        if data.tensor.Type() != tflite.TensorType.COMPLEX64:
            return super().convert_cast(op)
        pairs = self.get_tensor_expr(data)
        real = relax.op.squeeze(relax.op.strided_slice(pairs, [-1], [0], [1]), [-1])
        return relax.op.astype(real, self.get_tensor_type_str(result.tensor.Type()))

    def convert_expand_dims(self, op: Any) -> Any:
        """The first input with an axis of size 1 more; TVM 0.27's own converter raises."""
        data, axis = self.get_input_tensors(op)
        return relax.op.expand_dims(self.get_tensor_expr(data), int(self.get_tensor_value(axis).flat[0]))


def _type(tensor: Any) -> TensorType | None:
    if tensor.Type() not in DTYPES:
        return None
    elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[tensor.Type()]))
    return TensorType(elem_type, shape_of(tensor))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape that the file gives for a tensor."""
    return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))
