"""Packages found in the forms that they are written and installed in."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from autotune.throughput.package_file import opened_package
from search_spaces import Misuse


def module(folder: Path, name: str = "net") -> Path:
    """The folder of a package that is made up."""
    (folder / name / "server").mkdir(parents=True)
    for file in ("model.so", "metadata.json", "server/__main__.py"):
        (folder / name / file).write_text("")
    return folder / name


def wheel(folder: Path, unpacked: Path) -> Path:
    """A wheel of an unpacked package."""
    path = folder / "net-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as target:
        for file in unpacked.rglob("*.*"):
            target.write(file, file.relative_to(unpacked.parent))
    return path


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, Path]:
    installed = module(tmp_path / "installed")
    written = tmp_path / "written"
    written.mkdir()
    one = wheel(written, installed)
    context = tmp_path / "net-1.0-server_x86_64.tar.gz"
    with tarfile.open(context, "w:gz") as target:
        target.add(one, one.name)
    return {
        "module": installed,
        "site": installed.parent,
        "wheel": one,
        "output": written,
        "context": context,
    }


@pytest.mark.parametrize("form", ["module", "site", "wheel", "output", "context"])
def test_a_package_is_found_in_every_form(forms: dict[str, Path], form: str) -> None:
    with opened_package(forms[form]) as found:
        assert found.module == "net"
        assert found.library.is_file()
        assert (found.folder / "net" / "server" / "__main__.py").is_file()


def test_what_is_no_package_or_several_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.whl").write_bytes(b"no zip")
    module(tmp_path / "two", "a")
    module(tmp_path / "two", "b")
    for path in (tmp_path / "no.whl", tmp_path / "two", tmp_path / "missing.whl"):
        with pytest.raises(Misuse, match="expected a wheel or a server"), opened_package(path):
            pass
