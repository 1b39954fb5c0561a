"""The CUDA C++ of one kernel, its assembly for tensor cores included, run by this machine's processor."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

_SOURCES = Path(__file__).parent / "cuda_emulator"
sys.path.insert(0, str(_SOURCES))

from nvcc import DYNAMIC, SHARED  # noqa: E402 - a script beside the emulator
from ptx import with_calls  # noqa: E402

_THREADS = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z")


def run_kernel(source: str, scheduled: str, arrays: list[np.ndarray], folder: Path) -> None:
    """Runs main_kernel of a source on arrays, which it writes its results into.

    scheduled: the text of the scheduled function, which tells the numbers of blocks and threads.
    """
    code = with_calls(DYNAMIC.sub(r"uchar* \1 = emulated_shared;", SHARED.sub(r"\1 static", source)))
    (folder / "kernel.cpp").write_text(code)
    flags = ["-O1", "-w", "-fPIC", f"-I{_SOURCES}", "-c"]
    subprocess.run(["c++", *flags, str(folder / "kernel.cpp"), "-o", str(folder / "kernel.o")], check=True)
    subprocess.run(["cc", *flags, str(_SOURCES / "launch.c"), "-o", str(folder / "launch.o")], check=True)
    objects = [str(folder / "kernel.o"), str(folder / "launch.o")]
    library = folder / f"{len(list(folder.iterdir()))}.so"
    subprocess.run(["c++", "-shared", "-Wl,-Bsymbolic", *objects, "-o", str(library), "-ldl"], check=True)
    loaded = ctypes.CDLL(str(library))
    sizes = []
    for name in _THREADS:
        found = re.search(rf'T\.thread_binding\((\d+), thread="{re.escape(name)}"\)', scheduled)
        sizes.append(int(found[1]) if found else 1)
    pointers = (ctypes.c_void_p * len(arrays))(*(one.ctypes.data for one in arrays))
    status = loaded.launch_kernel(loaded.main_kernel, len(arrays), pointers, (ctypes.c_uint * 6)(*sizes))
    if status:
        raise RuntimeError(f"the emulated launch failed with status {status}")
