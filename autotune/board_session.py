"""One session on a board: a child process that serves TVM's RPC to one client, and then ends.

Needs NumPy, tvm_ffi and TVM's runtime library, none of TVM's compiler.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tvm_ffi

from autotune.guarded_array import GuardedArray

_RUNTIME = ("libtvm_runtime.so", "libtvm_runtime_extra.so")
_PR_SET_PDEATHSIG = 1


def load_runtime() -> list[ctypes.CDLL]:
    """TVM's runtime libraries, which register what a session offers. Raises OSError where there are none."""
    found = find_spec("tvm")
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise OSError("expected the apache-tvm package for its runtime library, found none; pip install it")
    return [
        ctypes.CDLL(str(Path(folder, "lib", name)), ctypes.RTLD_GLOBAL)
        for folder in folders
        for name in _RUNTIME
    ]


def return_error(descriptor: int, message: str) -> None:
    """Answers whatever the client waits for with an error."""
    tvm_ffi.get_global_func("rpc.ReturnException")(descriptor, message)


def serve_session(descriptor: int, output: int, folder: Path) -> None:
    """Serves the client behind a socket until it leaves, in a process of its own: it is never left.

    output: where stdout and stderr go; folder: where the client's files go.
    """
    # Killed with the server, even if that is killed itself.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    _offer(folder)
    tvm_ffi.get_global_func("rpc.ServerLoop")(descriptor)
    os._exit(0)


def _offer(folder: Path) -> None:
    """Registers what a client may call: its files, its libraries, and arrays between guards."""
    arrays: list[GuardedArray] = []

    def allocate(size: int) -> Any:
        array = GuardedArray.allocate((size,), "uint8")
        arrays.append(array)
        return tvm_ffi.from_dlpack(array.data)

    def intact() -> int:
        return int(all(array.intact for array in arrays))

    def forget() -> None:
        # The memory lives on for as long as the client holds a tensor of it.
        arrays.clear()

    def inside(name: str) -> str:
        return str(folder / Path(name).name)

    offered = {
        "tvm.rpc.server.workpath": inside,
        "tvm.rpc.server.load_module": lambda name: tvm_ffi.load_module(inside(name)),
        "autotune.board.allocate": allocate,
        "autotune.board.intact": intact,
        "autotune.board.forget": forget,
    }
    for name, function in offered.items():
        tvm_ffi.register_global_func(name, function, override=True)
    np.seterr(all="ignore")
