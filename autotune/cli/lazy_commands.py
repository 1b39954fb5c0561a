"""Commands that are imported when they are called: help needs neither TVM nor its kin, which load for seconds."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autotune.workers.fork_server import kernel_server
from autotune.workers.program import import_for_good


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is imported when it is called.

    place: the function as "module of this package:function"; "module:" is a module with a group's `app`;
    help:  the line in the help of its group.
    """

    place: str
    help: str


def command_group(text: str, commands: Mapping[str, Command], measuring: Collection[str] = ()) -> typer.Typer:
    """An application whose help is the text, with commands by name.

    measuring: the commands that have a `kernel_server` as their context's object: it loads TVM while they do.
    """

    class Group(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, found, rest = super().resolve_command(ctx, args)
            if name in measuring and not {"-h", "--help"} & set(rest):
                ctx.obj = ctx.with_resource(kernel_server())
            return name, _load(name, commands[name].place) if name and found else found, rest

    app = typer.Typer(
        help=text,
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_absent)  # a group, even where it has one command
    for name, command in commands.items():
        app.command(name, help=command.help)(_absent)
    return app


def _absent() -> None:
    """Stands for a command until it is called."""


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
