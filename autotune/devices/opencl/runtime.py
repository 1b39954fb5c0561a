"""TVM's OpenCL runtime: compiled once for each pair of packages, and loaded into this process.

Needs a C++ compiler and TVM's own headers, which its package brings; boards can import it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from search_spaces.errors import AutotuneError

_SOURCE = Path(__file__).with_name("runtime.cc")
_PACKAGES = ("apache-tvm", "apache-tvm-ffi")
_COMPILER = "c++"
_OPTIONS = ("-std=c++17", "-O1", "-shared", "-fPIC")
_TIMEOUT_SECS = 300.0


@cache
def load_opencl() -> None:
    """Registers OpenCL's devices and the loader of their code with TVM, whose runtime must have been loaded.

    Raises AutotuneError where the runtime cannot be compiled.
    """
    ctypes.CDLL(str(_library()), ctypes.RTLD_GLOBAL)


def _library() -> Path:
    """The compiled runtime, from the user's cache where it has been compiled before."""
    identity = [_SOURCE.read_text(), *map(version, _PACKAGES), " ".join(_OPTIONS), os.uname().machine]
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
    folder = Path(os.path.expanduser("~/.cache/autotune"))
    found = folder / f"libautotune_opencl-{digest}.so"
    if found.exists():
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = Path(scratch, found.name)
            _compile(built)
            # In one step, as several processes may come here at once.
            built.replace(found)
    except OSError as error:
        raise AutotuneError(
            f"expected to write TVM's OpenCL runtime to {folder}, found {error}; give HOME a folder with space",
            code="AT770",
        ) from error
    return found


def _compile(output: Path) -> None:
    if shutil.which(_COMPILER) is None:
        raise AutotuneError(
            f"expected a C++ compiler for TVM's OpenCL runtime, found no {_COMPILER!r} on the PATH; "
            "install g++ or clang",
            code="AT770",
        )
    includes = [f"-I{folder / 'include'}" for name in ("tvm", "tvm_ffi") for folder in _folders(name)]
    command = [_COMPILER, *_OPTIONS, *includes, str(_SOURCE), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECS, check=False)
    if done.returncode != 0:
        raise AutotuneError(
            f"expected TVM's headers to compile, found {done.stderr.strip()[-1500:]}; install the TVM that "
            "this package names",
            code="AT770",
        )


def _folders(package: str) -> list[Path]:
    found = find_spec(package)
    return [Path(place) for place in (found.submodule_search_locations or ())] if found else []
