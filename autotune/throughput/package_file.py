"""Packages as they are served: a wheel, a server's build context, or a folder of either, unpacked where needed."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import Misuse

_WHEEL, _CONTEXT = ".whl", ".tar.gz"
_LIBRARY, _METADATA = "model.so", "metadata.json"


@dataclass(frozen=True, slots=True)
class ServedPackage:
    """A package that Python can import. folder: that its module lies in; module: the name of that."""

    folder: Path
    module: str

    @property
    def library(self) -> Path:
        """The machine code of the model with its weights."""
        return self.folder / self.module / _LIBRARY


def is_package(path: Path) -> bool:
    """Whether a path is that of a package by its name, or of a folder."""
    return path.name.endswith((_WHEEL, _CONTEXT)) or path.is_dir()


@contextmanager
def opened_package(path: Path) -> Iterator[ServedPackage]:
    """A package: a wheel, a server's build context, an unpacked or installed one, or a folder with one of these.

    Raises Misuse where there is none, or more than one.
    """
    with tempfile.TemporaryDirectory(prefix="autotune-package-") as scratch:
        try:
            yield _found(path, Path(scratch))
        except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            raise _no_package(path, str(error)) from error


def _found(path: Path, scratch: Path) -> ServedPackage:
    if path.is_dir():
        modules = [path] if _is_module(path) else sorted(filter(_is_module, path.iterdir()))
        if len(modules) == 1:
            return ServedPackage(modules[0].absolute().parent, modules[0].absolute().name)
        files = sorted(each for each in path.iterdir() if each.name.endswith((_WHEEL, _CONTEXT)))
        # One packaged model in several forms.
        files = [each for each in files if each.name.endswith(_WHEEL)] or files
        if modules or len(files) != 1:
            raise _no_package(path, f"{len(modules) or len(files) or 'none'} of them")
        return _found(files[0], scratch)
    if not path.is_file():
        raise _no_package(path, "no such file")
    target = scratch / path.name.removesuffix(_CONTEXT).removesuffix(_WHEEL)
    if path.name.endswith(_CONTEXT):
        with tarfile.open(path) as context:
            context.extractall(target, filter="data")
    else:
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(target)
    return _found(target, scratch / "inner")


def _is_module(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (_LIBRARY, _METADATA, "server/__main__.py"))


def _no_package(path: Path, found: str) -> Misuse:
    return Misuse(
        f"expected a wheel or a server that autotune package wrote, or a folder with one; found {found} at {path}. "
        "Write one: autotune package MODEL --as server --output DIR",
        code="AT733",
    )
