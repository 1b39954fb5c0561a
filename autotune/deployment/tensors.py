"""Copies between NumPy's arrays and TVM's tensors, by TVM's runtime library alone."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

Array = npt.NDArray[Any]


class InputTensors:
    """Tensors on a device for the inputs of a function, kept from call to call: fresh memory costs more than a copy."""

    def __init__(self, device: tvm_ffi.Device) -> None:
        self._device = device
        self._types: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self._kept: list[tuple[tvm_ffi.Tensor, Array | None]] = []

    def filled(self, values: Sequence[Array]) -> list[tvm_ffi.Tensor]:
        """The tensors with these values, until the next call. Raises TypeError for a dtype that TVM does not know."""
        arrays = [np.asarray(each) for each in values]
        types = [(array.shape, array.dtype) for array in arrays]
        if types != self._types:
            self._types = []
            self._kept = [self._allocated(array) for array in arrays]
            self._types = types
        for array, (tensor, view) in zip(arrays, self._kept, strict=True):
            if view is None:
                whole = np.asarray(array, order="C")
                _runtime("TVMTensorCopyFromBytes")(tensor, _address(whole), whole.nbytes)
            else:
                view[...] = array
        return [tensor for tensor, _ in self._kept]

    def _allocated(self, array: Array) -> tuple[tvm_ffi.Tensor, Array | None]:
        """A tensor, aligned as kernels need it, and a view of it where it can be written to."""
        allocate = _runtime("TVMTensorAllocWithScope")
        tensor = allocate(array.shape, tvm_ffi.dtype(array.dtype), self._device, None)
        view = _view(tensor)
        return tensor, view if view is not None and view.flags.writeable else None


def as_array(tensor: tvm_ffi.Tensor) -> Array:
    """An array of its own with a tensor's values."""
    view = _view(tensor)
    if view is not None:
        return view.copy()
    array = np.empty(tensor.shape, np.dtype(str(tensor.dtype)))
    _runtime("TVMTensorCopyToBytes")(tensor, _address(array), array.nbytes)
    return array


def _view(tensor: tvm_ffi.Tensor) -> Array | None:
    """An array of a tensor's memory; None on other devices, and for a dtype that DLPack does not know."""
    try:
        return np.from_dlpack(tensor)
    except (BufferError, RuntimeError):
        return None


@cache
def _runtime(name: str) -> tvm_ffi.Function:
    return tvm_ffi.get_global_func(f"runtime.{name}")


def _address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
