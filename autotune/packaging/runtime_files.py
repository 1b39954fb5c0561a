"""TVM's runtime libraries that a package takes along: of this environment, or a folder for another machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from search_spaces.errors import Misuse

RUNTIME, FFI = "libtvm_runtime.so", "libtvm_ffi.so"


@dataclass(frozen=True, slots=True)
class RuntimeFiles:
    """TVM's runtime library, and that of its foreign function interface, which it needs."""

    runtime: Path
    ffi: Path


def installed_runtime() -> RuntimeFiles:
    """The libraries of this environment's TVM."""
    return RuntimeFiles(_installed("apache-tvm", RUNTIME), _installed("apache-tvm-ffi", FFI))


def runtime_in(folder: Path) -> RuntimeFiles:
    """The libraries in a folder, of TVM for another machine. Raises Misuse where one is missing."""
    files = RuntimeFiles(folder / RUNTIME, folder / FFI)
    missing = [path.name for path in (files.runtime, files.ffi) if not path.is_file()]
    if missing:
        raise Misuse(
            f"expected {RUNTIME} and {FFI} for the target in {folder}; found no {missing[0]}. Take them from the "
            f"wheels apache-tvm {metadata.version('apache-tvm')} and apache-tvm-ffi "
            f"{metadata.version('apache-tvm-ffi')} for that machine",
            code="AT730",
        )
    return files


def _installed(distribution: str, name: str) -> Path:
    files = metadata.files(distribution) or []
    return next(Path(str(file.locate())) for file in files if file.name == name)
