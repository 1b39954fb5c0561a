"""`autotune token`: the tokens in the store of a service, which need not run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import print_json, tell
from autotune.cli.service_arguments import DatabaseOption, ServiceFolderOption
from autotune.cli.tables import print_table
from autotune.jobs.durations import parse_secs
from autotune.jobs.table import Column, Table
from autotune.service.database import open_database
from autotune.service.service_folder import ServiceFolder
from autotune.service.token_documents import NewToken, Scope
from autotune.service.tokens import Tokens

_DEFAULT_SCOPES = (Scope.READ, Scope.SUBMIT)
TokenArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a token, see autotune token list.")
]


def create(
    name: Annotated[str, typer.Argument(help="The purpose or owner of the token.")],
    scope: Annotated[
        list[Scope] | None, typer.Option("--scope", help="Repeatable; default: read and submit.")
    ] = None,
    valid: Annotated[
        str | None, typer.Option("--valid", metavar="TIME", help="As in 30d; default: for ever.")
    ] = None,
    folder: ServiceFolderOption = Path("service"),
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token, and show it this once: the store keeps a digest of it."""
    secs = parse_secs(valid) if valid else None
    _show(_tokens(folder, database).create(name, scope or _DEFAULT_SCOPES, secs), json)


def list_(
    folder: ServiceFolderOption = Path("service"), database: DatabaseOption = None, json: JsonOption = False
) -> None:
    """List all tokens, without their secrets."""
    found = _tokens(folder, database).all()
    if json:
        print_json(msgspec.to_builtins(found))
        return
    rows = tuple(
        (
            one.id,
            one.name,
            " ".join(one.scopes),
            one.expires or "never",
            one.last_used or "never",
            "valid" if one.is_valid else "revoked" if one.revoked else "expired",
        )
        for one in found
    )
    columns = tuple(
        Column(name, priority)
        for name, priority in (
            ("id", 9),
            ("name", 8),
            ("scopes", 7),
            ("expires", 6),
            ("last used", 5),
            ("state", 9),
        )
    )
    print_table(Table("Tokens", columns, rows))


def revoke(
    token: TokenArgument,
    folder: ServiceFolderOption = Path("service"),
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token invalid from now on."""
    found = _tokens(folder, database).revoke(token)
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        tell(f"{found.prefix} ({found.name}) is revoked")


def rotate(
    token: TokenArgument,
    folder: ServiceFolderOption = Path("service"),
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token of the same name, scopes and duration, and revoke the old one."""
    _show(_tokens(folder, database).rotate(token), json)


def _tokens(folder: Path, database: str | None) -> Tokens:
    place = ServiceFolder(folder)
    place.make()
    return Tokens(open_database(folder, database))


def _show(made: NewToken, json: bool) -> None:
    if json:
        print_json(msgspec.to_builtins(made))
    else:
        tell(made.secret)
