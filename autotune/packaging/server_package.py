"""A package as a Docker build context: the wheel, with the HTTP server that is part of it, and a Dockerfile."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

from autotune.packaging.metadata import Metadata
from autotune.packaging.package import PackageContents
from autotune.packaging.server_modules import PINNED_REQUIREMENTS
from autotune.packaging.wheel import Wheel, wheel_name
from search_spaces.errors import StorageError
from tuning_logs.atomic_file import atomically

_TEMPLATES = ("Dockerfile", "README.md")


@dataclass(frozen=True, slots=True)
class ServerPackage:
    """A package as a .tar.gz file that `docker build -` reads, and whose server runs without Docker as well."""

    name: str = "server"
    takes_ranges: bool = True

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """See `autotune.packaging.package.PackageForm`."""
        path = folder / server_package_name(contents.metadata)
        try:
            with (
                tempfile.TemporaryDirectory(prefix="autotune-server-") as scratch_folder,
                atomically(path) as scratch,
                scratch.open("wb") as stream,
                # Neither the time nor the scratch file's name goes into the file. The wheel is compressed already.
                gzip.GzipFile("", "wb", 1, stream, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                for name, data in _files(contents, Path(scratch_folder)):
                    _add(archive, name, data)
        except OSError as error:
            raise StorageError(
                f"the server's build context could not be written to {path}: {error}", code="AT803"
            ) from error
        return path


def server_package_name(metadata: Metadata) -> str:
    """The file name of a package's build context."""
    return f"{metadata.module}-{metadata.version}-server_{metadata.requires.machine}.tar.gz"


def _add(archive: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    source: IO[bytes] = data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
    with source:
        info.size = data.stat().st_size if isinstance(data, Path) else len(data)
        archive.addfile(info, source)


def _files(contents: PackageContents, scratch: Path) -> Iterator[tuple[str, bytes | Path]]:
    """The members, at the top, where `docker build -` looks for the Dockerfile."""
    templates = resources.files("autotune.packaging").joinpath("templates/server")
    metadata = contents.metadata
    for name in _TEMPLATES:
        text = templates.joinpath(name).read_text("utf-8").replace("@MODULE@", metadata.module)
        yield name, text.replace("@WHEEL@", wheel_name(metadata)).encode()
    yield "requirements.txt", "\n".join([*PINNED_REQUIREMENTS, ""]).encode()
    wheel = Wheel().write(contents, scratch)
    yield wheel.name, wheel
