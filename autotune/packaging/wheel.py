"""A package as a Python wheel: a module named after the model, with the runtime that it needs."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from autotune.packaging.licenses import licenses
from autotune.packaging.metadata import Metadata
from autotune.packaging.package import PackageContents, stored_arrays
from autotune.packaging.server_modules import SERVER_REQUIREMENTS, server_modules
from autotune.packaging.shipped_modules import shipped_modules
from search_spaces.errors import StorageError
from tuning_logs.atomic_file import atomically

# The first moment that a zip file can tell.
_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 20
_PYTHON = ">=3.11"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package as a Python wheel that needs NumPy and TVM's foreign function interface, and no compiler."""

    name: str = "wheel"
    takes_ranges: bool = True

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """See `autotune.packaging.package.PackageForm`."""
        path = folder / wheel_name(contents.metadata)
        try:
            with atomically(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
                writer = _Writer(archive)
                for name, data in _files(contents):
                    writer.add(name, data)
                writer.end(f"{_info(contents.metadata)}/RECORD")
        except OSError as error:
            raise StorageError(f"the wheel could not be written to {path}: {error}", code="AT803") from error
        return path


def wheel_name(metadata: Metadata) -> str:
    """The file name of a package's wheel."""
    return f"{metadata.module}-{metadata.version}-py3-none-{platform_tag(metadata)}.whl"


def platform_tag(metadata: Metadata) -> str:
    """The platform of a wheel: a manylinux tag, as the libraries need glibc alone."""
    requires = metadata.requires
    if requires.libraries:
        return f"linux_{requires.machine}"
    return "manylinux_{}_{}_{}".format(*requires.glibc, requires.machine)


@dataclass(frozen=True)
class _Writer:
    """Writes members and notes them for RECORD, the list of all with their digests."""

    archive: zipfile.ZipFile
    record: list[str] = field(default_factory=list)

    def add(self, name: str, data: bytes | Path) -> None:
        """Writes a member from bytes or from a file."""
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, _TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        with (
            data.open("rb") if isinstance(data, Path) else io.BytesIO(data) as source,
            self.archive.open(info, "w", force_zip64=isinstance(data, Path)) as member,
        ):
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                member.write(chunk)
        text = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={text},{size}")

    def end(self, name: str) -> None:
        """Writes RECORD."""
        self.add(name, "\n".join([*self.record, f"{name},,", ""]).encode())


def _info(metadata: Metadata) -> str:
    return f"{metadata.module}-{metadata.version}.dist-info"


def _files(contents: PackageContents) -> Iterator[tuple[str, bytes | Path]]:
    metadata, module = contents.metadata, contents.metadata.module
    yield f"{module}/__init__.py", _module_text(metadata).encode()
    yield f"{module}/py.typed", b""
    yield f"{module}/metadata.json", metadata.to_json()
    yield f"{module}/runs.npz", _runs(contents)
    yield f"{module}/model.so", contents.library
    yield f"{module}/lib/libtvm_runtime.so", contents.runtime
    for name, text in shipped_modules().items():
        yield f"{module}/_runtime/{name}", text.encode()
    for name, text in server_modules().items():
        yield f"{module}/server/{name}", text.encode()
    info = _info(metadata)
    for name, text in licenses().items():
        yield f"{info}/licenses/{name}", text.encode()
    yield f"{info}/METADATA", _metadata_text(metadata).encode()
    tag = f"py3-none-{platform_tag(metadata)}"
    yield (
        f"{info}/WHEEL",
        f"Wheel-Version: 1.0\nGenerator: autotune\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    )


def _module_text(metadata: Metadata) -> str:
    template = resources.files("autotune.packaging").joinpath("templates/module.py.txt").read_text("utf-8")
    return template.replace("@MODULE@", metadata.module).replace("@VERSION@", metadata.version)


def _metadata_text(metadata: Metadata) -> str:
    needs = ["msgspec>=0.19", "numpy>=1.26", f"apache-tvm-ffi=={metadata.requires.tvm_ffi}"]
    if any(not _is_numpys(spec.dtype) for spec in (*metadata.inputs, *metadata.outputs)):
        needs.append("ml_dtypes>=0.5")
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {metadata.module}",
        f"Version: {metadata.version}",
        "Summary: A neural network as machine code, built by autotune",
        f"Requires-Python: {_PYTHON}",
        *(f"Requires-Dist: {need}" for need in needs),
        "Provides-Extra: server",
        *(f'Requires-Dist: {need}; extra == "server"' for need in SERVER_REQUIREMENTS),
        *(f"License-File: {name}" for name in licenses()),
    ]
    return "\n".join([*lines, ""])


def _is_numpys(dtype: str) -> bool:
    return re.fullmatch("u?int(8|16|32|64)|float(16|32|64)|bool|complex(64|128)", dtype) is not None


def _runs(contents: PackageContents) -> bytes:
    """The stored runs as an .npz file, whose members NumPy gives no time of their own."""
    stream = io.BytesIO()
    arrays: dict[str, Any] = {**stored_arrays(contents.runs)}
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
