"""Copies between NumPy's arrays and TVM's tensors, by TVM's runtime library alone."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

Array = npt.NDArray[Any]


def as_tensor(values: Array, device: tvm_ffi.Device) -> tvm_ffi.Tensor:
    """A tensor on a device, aligned as kernels need it. Raises TypeError for a dtype that TVM does not know."""
    array = np.asarray(values, order="C")
    tensor = _runtime("TVMTensorAllocWithScope")(array.shape, tvm_ffi.dtype(array.dtype), device, None)
    _runtime("TVMTensorCopyFromBytes")(tensor, _address(array), array.nbytes)
    return tensor


def as_array(tensor: tvm_ffi.Tensor) -> Array:
    """An array of its own with a tensor's values."""
    array = np.empty(tensor.shape, np.dtype(str(tensor.dtype)))
    _runtime("TVMTensorCopyToBytes")(tensor, _address(array), array.nbytes)
    return array


@cache
def _runtime(name: str) -> tvm_ffi.Function:
    return tvm_ffi.get_global_func(f"runtime.{name}")


def _address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
