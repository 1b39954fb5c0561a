"""The documentation names what exists: paths, functions, layers, public names, versions, commands of the Makefile."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from repository import ROOT

import autotune
import cost_models
import search_spaces
import tuning_logs

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGES = (autotune, cost_models, search_spaces, tuning_logs)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
# The changelog names what was, too.
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
)
_FOLDERS = (*(package.__name__ for package in PACKAGES), "benchmarks", "examples", "scripts", "tests")
# A path in backticks, with or without the name of a definition in it.
_PATH = re.compile(r"`((?:\w+/)+(?:\*?\w*\.\w+)?)(?::([\w.]+))?`")


def test_paths_and_definitions_of_the_architecture_page_exist() -> None:
    named = _PATH.findall(ARCHITECTURE)
    assert len(named) > 80
    for path, name in named:
        assert list(ROOT.glob(path.rstrip("/"))), f"there is no {path}"
        if name:
            assert name in _definitions(ROOT / path), f"{path} defines no {name}"


@pytest.mark.parametrize("page", PAGES)
def test_paths_of_every_page_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for path in re.findall(r"(?<![\w/.*])((?:" + "|".join(_FOLDERS) + r")/[\w/-]+\.(?:py|json|txt))\b", text):
        assert (ROOT / path).exists(), f"there is no {path}"


@pytest.mark.parametrize("page", PAGES)
def test_dotted_names_of_every_page_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    packages = "|".join(package.__name__ for package in PACKAGES)
    for name in re.findall(rf"`((?:{packages})(?:\.\w+)+)", text):
        assert pkgutil.resolve_name(name) is not None


def test_every_layer_is_in_a_table() -> None:
    listed = set(re.findall(r"^\| `(\w+/\w+)(?:/|\.py)` \|", ARCHITECTURE, re.MULTILINE))
    there = {f"{package}/{name}" for package, layers in _contracts().items() for name in set().union(*layers)}
    # The modules of this package have one row together.
    single = {f"search_spaces/{path.stem}" for path in (ROOT / "search_spaces").glob("*.py")}
    assert there - single == listed - {"autotune/models/passes", "autotune/cli/commands"}


def test_drawn_layers_are_those_of_the_contracts() -> None:
    [rows] = re.findall(r"```text\n(   autotune +cost_models.*?)```", ARCHITECTURE, re.DOTALL)
    header, _, *lines = rows.splitlines()
    packages = header.split()
    starts = [header.index(package) for package in packages]
    drawn: dict[str, list[set[str]]] = {package: [] for package in packages}
    for line in lines:
        for package, start, end in zip(packages, starts, [*starts[1:], None], strict=True):
            names = set(line[start:end].split())
            drawn[package] += [names] if names else []
    assert drawn == _contracts()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_names_are_in_the_reference(package: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / f"{package.__name__}.md").read_text("utf-8")
    named = set(re.findall(rf"(?:^::: |^\| `){package.__name__}\.(\w+)", page, re.MULTILINE))
    assert set(package.__all__) <= named, f"add {sorted(set(package.__all__) - named)}"


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## .*?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest
    assert newest.group(1) == PROJECT["project"]["version"]


def test_the_license_is_named() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Copyright 2026 The autotune authors" in (ROOT / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "examples/README.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text("utf-8")):
        assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), link


def test_no_target_of_the_makefile_is_defined_twice() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert len(targets) == len(set(targets))


def test_hooks_and_workflow_call_what_there_is() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"], "hooks from elsewhere need a network"
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert set(yaml.safe_load(workflow)["jobs"]) == {"quick", "full", "wheel"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", workflow)) <= targets


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        loaded = re.findall(
            r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text("utf-8")
        )
        assert not loaded, f"{page.name} loads {loaded}"


def _contracts() -> dict[str, list[set[str]]]:
    """The layers inside each package, from the top down."""
    return {
        contract["containers"][0]: [set(layer.split(" | ")) for layer in contract["layers"]]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and "containers" in contract
    }


def _definitions(path: Path) -> set[str]:
    found = set()
    for one in ast.parse(path.read_text("utf-8")).body:
        if isinstance(one, ast.ClassDef | ast.FunctionDef):
            found.add(one.name)
        if isinstance(one, ast.ClassDef):
            found |= {f"{one.name}.{each.name}" for each in one.body if isinstance(each, ast.FunctionDef)}
    return found
