"""Relax's virtual machine, which calls the functions of a built model (imports TVM's foreign function interface)."""

from __future__ import annotations

from typing import Any

import tvm_ffi

# TVM's number of the allocator that keeps freed memory for the next call.
_POOLED = 2


def virtual_machine(executable: Any, device: tvm_ffi.Device) -> tvm_ffi.Module:
    """A virtual machine with registers and an allocator of its own; its functions are found by name.

    executable: TVM's `Executable`, or the module that loading a library gives.
    """
    module = executable if isinstance(executable, tvm_ffi.Module) else executable.jit()
    machine = module["vm_load_executable"]()
    host = tvm_ffi.device("cpu")
    # Shapes are computed on the processor.
    devices = [device] if device == host else [device, host]
    machine["vm_initialization"](
        *(value for one in devices for value in (one.dlpack_device_type(), one.index, _POOLED))
    )
    return machine


def returned_text(machine: tvm_ffi.Module, name: str) -> str | None:
    """The text that a function of a library returns; None where it has no such function."""
    return str(machine[name]()) if machine.implements_function(name) else None
