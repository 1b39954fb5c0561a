"""A package as an archive for C++: libraries, headers, stored runs, and an example that runs them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np

from autotune.packaging.description_header import description_header
from autotune.packaging.licenses import licenses
from autotune.packaging.metadata import Metadata
from autotune.packaging.package import PackageContents, stored_arrays
from search_spaces.errors import StorageError
from tuning_logs.atomic_file import atomically

_EXAMPLE = ("CMakeLists.txt", "main.cpp", "packaged_model.h", "README.md")


@dataclass(frozen=True, slots=True)
class Archive:
    """A package as a .tar.gz file with a C++ example, which CMake and a compiler of C++17 build."""

    name: str = "archive"
    takes_ranges: bool = False

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """See `autotune.packaging.package.PackageForm`."""
        path = folder / archive_name(contents.metadata)
        top = contents.metadata.module
        try:
            with (
                atomically(path) as scratch,
                scratch.open("wb") as stream,
                # Neither the time nor the scratch file's name goes into the file.
                gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                for name, data in _files(contents):
                    _add(archive, f"{top}/{name}", data)
        except OSError as error:
            raise StorageError(
                f"the archive could not be written to {path}: {error}", code="AT803"
            ) from error
        return path


def archive_name(metadata: Metadata) -> str:
    """The file name of a package's archive."""
    return f"{metadata.module}-{metadata.version}-linux_{metadata.requires.machine}.tar.gz"


def _add(archive: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if name.endswith(".so") else 0o644
    source: IO[bytes] = data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
    with source:
        info.size = data.stat().st_size if isinstance(data, Path) else len(data)
        archive.addfile(info, source)


def _files(contents: PackageContents) -> Iterator[tuple[str, bytes | Path]]:
    templates = resources.files("autotune.packaging").joinpath("templates")
    for name in _EXAMPLE:
        yield name, templates.joinpath(name).read_bytes()
    yield "metadata.json", contents.metadata.to_json()
    yield "model_description.h", description_header(contents).encode()
    yield "lib/model.so", contents.library
    yield "lib/libtvm_runtime.so", contents.runtime
    yield "lib/libtvm_ffi.so", contents.ffi
    for name, values in stored_arrays(contents.runs).items():
        yield f"runs/{name}.bin", np.asarray(values, order="C").tobytes()
    for name, text in licenses().items():
        yield name, text.encode()
    yield from _headers()


def _headers() -> Iterator[tuple[str, Path]]:
    """The headers of TVM's foreign function interface, which the example is compiled with."""
    package = resources.files("tvm_ffi")
    folder = Path(str(package)) / "include"
    for part in ("dlpack", "tvm"):
        for path in sorted((folder / part).rglob("*.h")):
            yield f"include/{path.relative_to(folder)}", path
