"""A session on a board: a child process that serves TVM's RPC to one client.

Needs NumPy, tvm_ffi and TVM's runtime library, none of TVM's compiler.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import tvm_ffi

from autotune.boards.session_functions import SessionFunctions
from autotune.devices.gpu_facts import Facts, gpu_facts, opencl_facts
from autotune.devices.opencl.runtime import load_opencl
from autotune.workers.child import die_with_parent

_RUNTIME = ("libtvm_runtime.so", "libtvm_runtime_extra.so")
# Loads where NVIDIA's driver and runtime are, and registers them with TVM.
_CUDA_RUNTIME = "libtvm_runtime_cuda.so"


def load_runtime() -> list[ctypes.CDLL]:
    """TVM's runtime libraries, which register what a session offers. Raises OSError where there are none."""
    found = find_spec("tvm")
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise OSError("expected the apache-tvm package for its runtime library, found none; pip install it")
    loaded = [
        ctypes.CDLL(str(Path(folder, "lib", name)), ctypes.RTLD_GLOBAL)
        for folder in folders
        for name in _RUNTIME
    ]
    with suppress(OSError):
        loaded += [
            ctypes.CDLL(str(Path(folder, "lib", _CUDA_RUNTIME)), ctypes.RTLD_GLOBAL) for folder in folders
        ]
    return loaded


def ask_for_gpu() -> Facts:
    """Facts of the first NVIDIA GPU that this process may use. Raises OSError where there is none."""
    facts = _asked_apart(lambda: gpu_facts(0))
    if facts is None:
        raise OSError(
            "expected an NVIDIA GPU, its driver and CUDA's runtime library, found none; see nvidia-smi"
        )
    return facts


def ask_for_opencl(index: int) -> Facts:
    """Facts of an OpenCL device, which is the only one of this process and its sessions from then on.

    Raises OSError where there is none, and AutotuneError where TVM's OpenCL runtime cannot be compiled.
    """
    load_opencl()
    tvm_ffi.get_global_func("autotune.opencl.show_only")(index)
    facts = _asked_apart(lambda: opencl_facts(0))
    if facts is None:
        raise OSError(f"expected an OpenCL device number {index}, found none; see clinfo")
    return facts


def _asked_apart(ask: Callable[[], Facts | None]) -> Facts | None:
    """The answer of a child process, because a process that has used a GPU cannot have children that do."""
    answer, asked = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(answer)
            os.write(asked, json.dumps(ask()).encode())
        finally:
            os._exit(0)
    os.close(asked)
    with os.fdopen(answer, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    facts: Facts | None = json.loads(text or "null")
    return facts


def return_error(descriptor: int, message: str) -> None:
    """Replies to the client's pending call with an error."""
    tvm_ffi.get_global_func("rpc.ReturnException")(descriptor, message)


def serve_session(descriptor: int, output: int, offer: SessionFunctions) -> None:
    """Serves the client of a socket until it leaves, then ends this process; never returns.

    descriptor: of the socket; output: a descriptor for stdout and stderr; offer: what the client may call.
    """
    # Killed with the server, even if that is killed itself.
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(offer.folder)
    serve = tvm_ffi.get_global_func("rpc.ServerLoop")
    offer.register()
    serve(descriptor)
    os._exit(0)
