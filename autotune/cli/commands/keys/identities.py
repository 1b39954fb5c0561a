"""`autotune keys`: the authority of a farm and the identities that it issues."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import print_json, tell
from autotune.cli.tables import print_table
from autotune.jobs.durations import parse_secs, show_duration
from autotune.jobs.table import Column, Table
from autotune.models.extras import needing
from autotune.transport.identity import (
    REVOKED,
    SECRETS,
    Identity,
    Role,
    Subject,
    read_identity,
    read_validity,
)
from search_spaces.errors import Misuse

_AUTHORITY = "authority"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
FolderOption = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="The folder of the authority and what it issues.")
]
ValidOption = Annotated[str, typer.Option("--valid", metavar="TIME", help="The time until it expires.")]


def authority(folder: FolderOption = Path("keys"), valid: ValidOption = "3650d") -> None:
    """Make the authority that issues all other keys of a farm; whoever has it can let anyone in."""
    _authorities().make_authority(folder / _AUTHORITY, timedelta(seconds=parse_secs(valid)))
    tell(f"{folder / _AUTHORITY}: keep it on a machine that is neither a board nor reached from outside")


def tracker(folder: FolderOption = Path("keys"), valid: ValidOption = "365d") -> None:
    """Make the identity of the farm's tracker, for autotune serve-tracker --identity."""
    _issue(Subject(Role.TRACKER, "tracker"), folder, "tracker", valid)


def board(
    key: Annotated[str, typer.Argument(help="The key of the board: what boards like this one are called.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of this one board among its like; default: the key.")
    ] = None,
    folder: FolderOption = Path("keys"),
    valid: ValidOption = "90d",
) -> None:
    """Make the identity of a board, for autotune serve-device --identity on it."""
    _issue(Subject(Role.BOARD, _checked(key)), folder, f"board-{_checked(name or key)}", valid)


def client(
    name: Annotated[str, typer.Argument(help="The user or machine that tunes.")],
    folder: FolderOption = Path("keys"),
    valid: ValidOption = "90d",
) -> None:
    """Make the identity of a user or machine that tunes on boards, for rpcs://…?identity=."""
    _issue(Subject(Role.CLIENT, _checked(name)), folder, f"client-{name}", valid)


def revoke(
    name: Annotated[str, typer.Argument(help="The folder that the identity was issued in: client-me.")],
    folder: FolderOption = Path("keys"),
) -> None:
    """Revoke the certificates of an identity: whoever has the new list lets it in no more, nor connects to it."""
    revocation = needing("farm", "autotune.transport.revocation", "to revoke keys")
    place = folder / _AUTHORITY
    revoked = revocation.revoke(_authorities().read_authority(place), name)
    copies = revocation.spread(place)
    tell(
        f"{place / REVOKED}: {len(revoked)} certificates, copied to {len(copies)} identities in {folder}; copy it to "
        "the folders of identities of the tracker, the boards and the clients, which read it at each connection"
    )


def list_(folder: FolderOption = Path("keys"), json: JsonOption = False) -> None:
    """List the identities in a folder, and when they expire. An identity that cannot be used is an error."""
    places = sorted(path.parent for path in folder.glob(f"*/{SECRETS}") if path.parent.name != _AUTHORITY)
    if not places:
        raise Misuse(
            f"expected identities in {folder}, found none; make them with autotune keys", code="AT760"
        )
    found = [read_validity(place) for place in places]
    if json:
        print_json([_row(one) for one in found])
        return
    now = time.time()
    rows = tuple(
        (
            one.folder.name,
            one.subject.role.value,
            one.subject.name,
            show_duration(one.expires - now) if one.expires > now else "expired",
        )
        for one in found
    )
    columns = (Column("folder", 9), Column("role", 7), Column("name", 8), Column("expires in", 8))
    print_table(Table("Identities", columns, rows))
    for one in found:
        read_identity(one.folder)


def _row(identity: Identity) -> dict[str, object]:
    return {
        "folder": str(identity.folder),
        "role": identity.subject.role.value,
        "name": identity.subject.name,
        "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(identity.expires)),
    }


def _issue(subject: Subject, folder: Path, name: str, valid: str) -> None:
    authorities = _authorities()
    place = folder / name
    issue = authorities.Issue(subject, place, timedelta(seconds=parse_secs(valid)))
    expires = authorities.read_authority(folder / _AUTHORITY).issue(issue)
    tell(
        f"{place}: for a {subject.role.value}, valid until {expires:%Y-%m-%d}; copy the folder there, with its modes"
    )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Misuse(
            f"expected a name of at most 60 letters, digits, dots, dashes and underscores, found {name!r}",
            code="AT766",
        )
    return name


def _authorities() -> ModuleType:
    return needing("farm", "autotune.transport.authority", "to make keys")
