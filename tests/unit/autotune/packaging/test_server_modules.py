"""The server's modules as wheels and build contexts have them."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from package_contents import made_contents
from repository import ROOT
from shipped_imports import expect_imports

from autotune.packaging.server_modules import PINNED_REQUIREMENTS, SERVER_REQUIREMENTS, server_modules
from autotune.packaging.server_package import ServerPackage
from autotune.packaging.wheel import Wheel


def test_modules_import_each_other_relatively_and_what_the_extra_installs() -> None:
    expect_imports(server_modules(), {"numpy", "starlette", "uvicorn", "prometheus_client"})


def test_a_container_gets_the_versions_that_are_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(PINNED_REQUIREMENTS) <= set(lines)
    for requirement in SERVER_REQUIREMENTS:
        assert any(one.startswith(f"{requirement.partition('>')[0]}==") for one in PINNED_REQUIREMENTS)
        assert f'"{requirement}"' in (ROOT / "pyproject.toml").read_text()


def test_a_wheel_has_the_server_as_an_extra(tmp_path: Path) -> None:
    with zipfile.ZipFile(Wheel().write(made_contents(tmp_path), tmp_path)) as archive:
        assert "made/server/__main__.py" in archive.namelist()
        text = archive.read("made-1.0+b0123.dist-info/METADATA").decode()
    for requirement in SERVER_REQUIREMENTS:
        assert f'Requires-Dist: {requirement}; extra == "server"\n' in text


def test_a_build_context_has_the_dockerfile_at_its_top(tmp_path: Path) -> None:
    with tarfile.open(ServerPackage().write(made_contents(tmp_path), tmp_path)) as archive:
        wheel = "made-1.0+b0123-py3-none-manylinux_2_27_x86_64.whl"
        assert archive.getnames() == ["Dockerfile", "README.md", "requirements.txt", wheel]
        member = archive.extractfile("Dockerfile")
        assert member is not None
        assert f"COPY requirements.txt {wheel} /package/\n" in member.read().decode()
