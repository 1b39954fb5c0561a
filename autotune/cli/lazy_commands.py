"""Commands that are imported when they are called: TVM and its like take seconds to load, and help needs none of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autotune.workers.fork_server import kernel_server
from autotune.workers.program import import_for_good


def command_group(text: str, places: Mapping[str, str], measuring: Collection[str] = ()) -> typer.Typer:
    """An application whose help is the text.

    places: where each command is, as "module of this package:function", by its name; a function that makes further
    commands with `command_group` is given as "module:", and the application is then the module's `app`.
    measuring: the commands that have a `kernel_server` as their context's object: it loads TVM while they do.
    """

    class Group(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, found, rest = super().resolve_command(ctx, args)
            if name in measuring and not {"-h", "--help"} & set(rest):
                ctx.obj = ctx.with_resource(kernel_server())
            return name, _load(name, places[name]) if name and found else found, rest

    app = typer.Typer(
        help=text,
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_absent)  # a group, even where it has one command
    for name, place in places.items():
        app.command(name, help=_first_line(*place.split(":")))(_absent)
    return app


def _absent() -> None:
    """Stands for a command that nobody has called."""


def _load(name: str, place: str) -> Any:
    module, function = place.split(":")
    found = import_for_good(f"autotune.cli.{module}")
    if "optuna" in sys.modules:
        # Optuna tells every study that is made.
        sys.modules["optuna"].logging.set_verbosity(sys.modules["optuna"].logging.WARNING)
    if not function:
        return get_command(found.app)
    alone = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    alone.command(name)(getattr(found, function))
    return get_command(alone)


def _first_line(module: str, function: str) -> str:
    """What a command says of itself, read without running its module."""
    tree = ast.parse(
        Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    )
    if not function:
        what = str(ast.get_docstring(tree)).partition(": ")[2]
        return what[:1].upper() + what[1:]
    [found] = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == function]
    return str(ast.get_docstring(found)).partition(". ")[0].removesuffix(".").replace("\n", " ") + "."
