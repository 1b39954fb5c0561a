"""A package as a Docker build context: the wheel, with the HTTP server that is part of it, and a Dockerfile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from autotune.packaging.metadata import Metadata
from autotune.packaging.package import PackageContents
from autotune.packaging.server_modules import PINNED_REQUIREMENTS
from autotune.packaging.tarball import Member, write_tarball
from autotune.packaging.wheel import Wheel, wheel_name
from search_spaces.errors import StorageError

_TEMPLATES = ("Dockerfile", "README.md")
# The wheel is compressed already.
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class ServerPackage:
    """A package as a .tar.gz file that `docker build -` reads, and whose server runs without Docker as well."""

    name: str = "server"
    takes_ranges: bool = True

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """See `autotune.packaging.package.PackageForm`."""
        path = folder / server_package_name(contents.metadata)
        try:
            with tempfile.TemporaryDirectory(prefix="autotune-server-") as scratch:
                write_tarball(path, _files(contents, Path(scratch)), _COMPRESSION)
        except OSError as error:
            raise StorageError(
                f"the server's build context could not be written to {path}: {error}", code="AT803"
            ) from error
        return path


def server_package_name(metadata: Metadata) -> str:
    """The file name of a package's build context."""
    return f"{metadata.module}-{metadata.version}-server_{metadata.requires.machine}.tar.gz"


def _files(contents: PackageContents, scratch: Path) -> Iterator[Member]:
    """The members, at the top, where `docker build -` looks for the Dockerfile."""
    templates = resources.files("autotune.packaging").joinpath("templates/server")
    metadata = contents.metadata
    for name in _TEMPLATES:
        text = templates.joinpath(name).read_text("utf-8").replace("@MODULE@", metadata.module)
        yield name, text.replace("@WHEEL@", wheel_name(metadata)).encode()
    yield "requirements.txt", "\n".join([*PINNED_REQUIREMENTS, ""]).encode()
    wheel = Wheel().write(contents, scratch)
    yield wheel.name, wheel
