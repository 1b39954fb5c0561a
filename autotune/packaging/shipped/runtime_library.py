"""TVM's runtime library, loaded once into a process that several packages, and TVM itself, may share."""

from __future__ import annotations

import ctypes
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import tvm_ffi

from search_spaces.errors import Misuse

# A function that the library registers.
_PROOF = "runtime.NumThreads"
# Packages have copies of this module: they share what they know in the module that all of them import.
_SHARED = "_packaged_runtime"


def load_runtime(own: Path, version: str) -> None:
    """Loads TVM's runtime library unless the process has it: a second one would end the process.

    own:     the package's library, used where TVM itself is not installed in this version;
    version: of TVM, that the package was built with.
    Raises Misuse where the process has another version, or the library does not load.
    """
    shared: dict[str, Any] = tvm_ffi.__dict__.setdefault(_SHARED, {"lock": Lock(), "version": None})
    with shared["lock"]:
        if tvm_ffi.get_global_func(_PROOF, allow_missing=True) is not None:
            _check(version, shared["version"] or getattr(sys.modules.get("tvm"), "__version__", None))
            return
        library = _installed(version) or own
        try:
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise Misuse(
                f"expected TVM's runtime library to load from {library}; found: {error}", code="AT731"
            ) from error
        shared["version"] = version


def _check(version: str, found: str | None) -> None:
    if found is not None and found != version:
        raise Misuse(
            f"expected TVM {version} in this process, which the model was built with; found {found}, which was "
            "loaded before. Run the two in processes of their own, or build the model anew",
            code="AT731",
        )


def _installed(version: str) -> Path | None:
    """The library of an installed TVM, which can then be imported as well; None where there is none of the version."""
    try:
        spec = find_spec("tvm")
        if spec is None or spec.origin is None or metadata.version("apache-tvm") != version:
            return None
    except (metadata.PackageNotFoundError, ValueError):
        return None
    library = Path(spec.origin).parent / "lib" / "libtvm_runtime.so"
    return library if library.is_file() else None
