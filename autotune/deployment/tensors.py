"""NumPy's arrays as TVM's tensors and back, copied where they cannot be shared, by TVM's runtime library alone."""

from __future__ import annotations

import ctypes
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

Array = npt.NDArray[Any]

#: Arrays of fewer bytes are copied: that takes a few microseconds, and small outputs would hold a page of memory each.
LEAST_SHARED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tensor on a device for an input of one shape and dtype, and a view of it where it can be written to."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    tensor: tvm_ffi.Tensor
    view: Array | None


class InputTensors:
    """Tensors on a device for the inputs of a function: large arrays themselves, where the device can read them, and
    copies of others in tensors that are kept from call to call, as fresh memory costs more than a copy."""

    def __init__(self, device: tvm_ffi.Device, alignment: int) -> None:
        """alignment: of addresses, in bytes, that the function expects of its inputs."""
        self._device, self._alignment = device, alignment
        self._is_host = device == tvm_ffi.device("cpu")
        self._kept: dict[int, _Kept] = {}

    def filled(self, values: Sequence[Array]) -> list[tvm_ffi.Tensor]:
        """Tensors with these values, until the next call. Raises TypeError for a dtype that TVM does not know."""
        return [self._tensor(place, np.asarray(value)) for place, value in enumerate(values)]

    def _tensor(self, place: int, array: Array) -> tvm_ffi.Tensor:
        if self._is_host and self._can_share(array):
            try:
                return tvm_ffi.from_dlpack(array)
            except BufferError:  # a dtype that DLPack does not know
                pass
        kept = self._kept.get(place)
        if kept is None or kept.shape != array.shape or kept.dtype != array.dtype:
            kept = self._kept[place] = self._allocated(array)
        if kept.view is None:
            whole = np.asarray(array, order="C")
            _runtime("TVMTensorCopyFromBytes")(kept.tensor, _address(whole), whole.nbytes)
        else:
            kept.view[...] = array
        return kept.tensor

    def _can_share(self, array: Array) -> bool:
        # DLPack has no word for arrays that may not be written to.
        flags = array.flags
        return (
            array.nbytes >= LEAST_SHARED_BYTES
            and flags.c_contiguous
            and flags.writeable
            and array.dtype.isnative
            and array.ctypes.data % self._alignment == 0
        )

    def _allocated(self, array: Array) -> _Kept:
        """A tensor, aligned as kernels need it."""
        allocate = _runtime("TVMTensorAllocWithScope")
        tensor = allocate(array.shape, tvm_ffi.dtype(array.dtype), self._device, None)
        view = _view(tensor)
        writeable = view if view is not None and view.flags.writeable else None
        return _Kept(array.shape, array.dtype, tensor, writeable)


def output_arrays(tensors: Sequence[tvm_ffi.Tensor], own: Container[int]) -> tuple[Array, ...]:
    """Arrays of a call's outputs, which share no memory with one another or the model.

    own: the places of tensors in memory that nothing else lies in. The large ones of them are not copied.
    """
    return tuple(_own(tensor) if place in own else _copied(tensor) for place, tensor in enumerate(tensors))


def _own(tensor: tvm_ffi.Tensor) -> Array:
    """An array of the tensor's own memory where that is large, else a copy."""
    view = _view(tensor)
    if view is None:
        return _copied(tensor)
    return view if view.nbytes >= LEAST_SHARED_BYTES else view.copy()


def _copied(tensor: tvm_ffi.Tensor) -> Array:
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
