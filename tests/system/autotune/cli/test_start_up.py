"""What is loaded when: help and status without TVM, and names of the package when they are asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import autotune
from autotune.cli import main
from autotune.cli.commands import cost_model_group, log_group

HEAVY = ("tvm", "optuna", "xgboost", "sklearn", "pandas", "matplotlib", "scipy", "ray")


def loaded(code: str) -> list[str]:
    """Which heavy packages a program has loaded when it ends."""
    program = f"import sys\n{code}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


def test_help_loads_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner; from autotune.cli.main import app\n"
    code += 'assert CliRunner().invoke(app, ["--help"]).exit_code == 0'
    assert loaded(code) == []


def test_a_status_is_shown_without_a_compiler() -> None:
    assert loaded("import autotune.cli.commands.status") == []


def test_the_pages_of_a_job_are_served_without_a_compiler_or_charts_library() -> None:
    assert loaded("import autotune.cli.commands.watch, autotune.service.watch.server") == []


def test_a_search_starts_before_its_cost_model_is_loaded() -> None:
    found = loaded("import autotune.cli.commands.tune, autotune.cli.commands.run")
    assert "tvm" in found
    assert not {"xgboost", "sklearn", "pandas", "matplotlib", "scipy"} & set(found)


STARTS = """
from contextlib import contextmanager
from typer.testing import CliRunner
from autotune.cli import main
from autotune.cli import lazy_commands

@contextmanager
def server():
    told.append("tvm" in sys.modules)
    try:
        yield
    finally:
        told.append("closed")

told = []
lazy_commands.kernel_server = server
assert CliRunner().invoke(main.app, ["tune", "--op", "matmul:8,8,8"]).exception
assert told == [False, "closed"], told
CliRunner().invoke(main.app, ["tune", "--help"])
assert len(told) == 2, told
"""


def test_workers_start_before_a_search_loads_its_compiler_and_end_with_the_command() -> None:
    assert "tvm" in loaded(STARTS)


@pytest.mark.parametrize("module", [main, log_group, cost_model_group])
def test_every_command_is_listed_with_what_it_does_and_can_be_called(module) -> None:  # type: ignore[no-untyped-def]
    group = get_command(module.app)
    shown = CliRunner().invoke(module.app, ["--help"]).output
    for name in group.commands:  # type: ignore[attr-defined]
        assert name in shown
        done = CliRunner().invoke(module.app, [name, "--help"])
        assert done.exit_code == 0, done.output
        words = group.commands[name].help.split()  # type: ignore[attr-defined]
        assert len(words) > 3
        assert " ".join(words[:4]) in " ".join(done.output.split())


def test_the_packages_names_and_their_stub_agree() -> None:
    tree = ast.parse(Path(autotune.__file__).with_suffix(".pyi").read_text())
    imported = {alias.name for one in tree.body if isinstance(one, ast.ImportFrom) for alias in one.names}
    assert imported == set(autotune.__all__)
    assert all(getattr(autotune, name) is not None for name in autotune.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        autotune.nothing_of_the_kind  # noqa: B018
