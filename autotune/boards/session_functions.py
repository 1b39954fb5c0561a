"""Functions that a client of a board may call: for its files, its libraries, and arrays between guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tvm_ffi

from autotune.measurement.guarded_array import GuardedArray
from autotune.transport.handshake import SessionKey
from autotune.transport.signature import REFUSED, Signature, Verifier

# What loads, links or starts code besides the functions below, or brings back what was taken away.
_LOADERS = (
    "ffi.FunctionFromExternC",
    "ffi.FunctionRemoveGlobal",
    "ffi.ModuleLoadFromFile",
    "ffi.SystemLib",
    "relax.ExecutableLoadFromFile",
    "runtime.ModuleLoadStaticLibrary",
    "tvm.rpc.server.load_module",
)
_LOADER_GROUPS = ("ffi.Module.load_from_file.", "rpc.", "runtime.disco.", "testing.")
# TVM asks for it when a session begins.
_NEEDED = ("rpc.LocalSession",)
_SHARED_LIBRARY = "ffi.Module.load_from_file.so"


class SessionFunctions(Protocol):
    """The functions of a session, which TVM learns at its start."""

    @property
    def folder(self) -> Path:
        """The folder of the client's files."""
        ...

    def register(self) -> None:
        """Makes the functions known to TVM in this process."""
        ...


def session_functions(folder: Path, key: SessionKey | None) -> SessionFunctions:
    """The functions of a session with a key, or without one."""
    return PlainFunctions(folder) if key is None else SignedFunctions(folder, Verifier(key))


@dataclass(frozen=True, slots=True)
class PlainFunctions:
    """Functions for a client that was not asked who it is: it loads whatever it sends."""

    folder: Path

    def register(self) -> None:
        """See `SessionFunctions.register`."""
        folder = self.folder
        _register(folder)
        for name, function in {
            "tvm.rpc.server.load_module": lambda name: tvm_ffi.load_module(str(folder / Path(name).name)),
            "autotune.board.gpu_code": lambda code: _use_gpu_code(bytes(code)),
        }.items():
            tvm_ffi.register_global_func(name, function, override=True)


@dataclass(frozen=True, slots=True)
class SignedFunctions:
    """Functions for a client that signs what it sends; nothing else is loaded."""

    folder: Path
    verifier: Verifier

    def register(self) -> None:
        """See `SessionFunctions.register`."""
        _register(self.folder)
        load_library = _take_loaders_away()

        def load_signed(code: Any, sequence: int, digest: Any) -> Any:
            content = bytes(code)
            self.verifier.verify("library", content, Signature(int(sequence), bytes(digest)))
            path = self.folder / f"signed-{int(sequence)}.so"
            path.write_bytes(content)
            return load_library(str(path))

        def gpu_code_signed(code: Any, sequence: int, digest: Any) -> None:
            content = bytes(code)
            self.verifier.verify("gpu code", content, Signature(int(sequence), bytes(digest)))
            _use_gpu_code(content)

        for name, function in {
            "autotune.board.load_signed": load_signed,
            "autotune.board.gpu_code_signed": gpu_code_signed,
        }.items():
            tvm_ffi.register_global_func(name, function, override=True)


def _take_loaders_away() -> Callable[[str], Any]:
    """Removes what loads code from TVM's registry; returns what loads a shared library."""
    load = tvm_ffi.get_global_func("ffi.ModuleLoadFromFile")
    load_file = tvm_ffi.get_global_func(_SHARED_LIBRARY)
    remove = tvm_ffi.get_global_func("ffi.FunctionRemoveGlobal")
    permitted: set[str] = set()

    def load_permitted(path: str, kind: str) -> Any:
        if path not in permitted:
            raise PermissionError(f"{REFUSED}: it has no signature")
        permitted.discard(path)
        return load_file(path, kind)

    def load_library(path: str) -> Any:
        permitted.add(path)
        return load(path)

    for name in tvm_ffi.registry.list_global_func_names():
        if name not in _NEEDED and (name in _LOADERS or name.startswith(_LOADER_GROUPS)):
            remove(name)
    tvm_ffi.register_global_func(_SHARED_LIBRARY, load_permitted, override=True)
    return load_library


class _Arrays:
    """Arrays between guards that a client has allocated: those it keeps, and those that the next release gives up.

    The memory lives on for as long as the client holds a tensor of it.
    """

    def __init__(self) -> None:
        self._kept: list[GuardedArray] = []
        self._passing: list[GuardedArray] = []

    def allocate(self, size: int) -> Any:
        """A tensor of so many bytes."""
        array = GuardedArray.allocate((size,), "uint8")
        self._passing.append(array)
        return tvm_ffi.from_dlpack(array.data)

    def intact(self) -> int:
        """1 where nothing was written outside the arrays, else 0."""
        return int(all(array.intact for array in (*self._kept, *self._passing)))

    def keep(self) -> None:
        """Keeps all arrays of now."""
        self._kept.extend(self._passing)
        self._passing.clear()

    def release(self) -> None:
        """Gives up all arrays but the kept ones."""
        self._passing.clear()

    def forget(self) -> None:
        """Gives up all arrays."""
        self._kept.clear()
        self._passing.clear()


def _use_gpu_code(cubin: bytes) -> None:
    """Gives TVM the machine code of the next library with source for a GPU: there is no compiler on a board."""
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", lambda _source: cubin, override=True)


def _register(folder: Path) -> None:
    """Registers what every client may call."""
    arrays = _Arrays()

    def upload(name: str, content: Any) -> None:
        # TVM's own writes what there is room for, and says nothing.
        (folder / Path(name).name).write_bytes(bytes(content))

    offered = {
        "tvm.rpc.server.upload": upload,
        "tvm.rpc.server.workpath": lambda name: str(folder / Path(name).name),
        "autotune.board.allocate": arrays.allocate,
        "autotune.board.intact": arrays.intact,
        "autotune.board.keep": arrays.keep,
        "autotune.board.release": arrays.release,
        "autotune.board.forget": arrays.forget,
    }
    for name, function in offered.items():
        tvm_ffi.register_global_func(name, function, override=True)
    np.seterr(all="ignore")
