"""A package as an archive for C++: libraries, headers, stored runs, and an example that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from autotune.packaging.description_header import description_header
from autotune.packaging.licenses import licenses
from autotune.packaging.metadata import Metadata
from autotune.packaging.package import PackageContents, stored_arrays
from autotune.packaging.tarball import Member, write_tarball
from search_spaces.errors import StorageError

_EXAMPLE = ("CMakeLists.txt", "main.cpp", "packaged_model.h", "README.md")
_COMPRESSION = 6


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
            write_tarball(path, ((f"{top}/{name}", data) for name, data in _files(contents)), _COMPRESSION)
        except OSError as error:
            raise StorageError(
                f"the archive could not be written to {path}: {error}", code="AT803"
            ) from error
        return path


def archive_name(metadata: Metadata) -> str:
    """The file name of a package's archive."""
    return f"{metadata.module}-{metadata.version}-linux_{metadata.requires.machine}.tar.gz"


def _files(contents: PackageContents) -> Iterator[Member]:
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
