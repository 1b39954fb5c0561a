"""Keys of farms for tests: one that is attacked, and another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autotune.transport.authority import Issue, make_authority, read_authority
from autotune.transport.identity import Role, Subject

DAY = timedelta(days=1)


@dataclass(frozen=True)
class FarmKeys:
    """Folders of identities of one farm, by name."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name.replace("_", "-")


def make_farm(folder: Path) -> FarmKeys:
    """A farm with a tracker, the boards pi4 and pi5, a client, and a client whose certificate has expired."""
    make_authority(folder / "authority", 100 * DAY)
    authority = read_authority(folder / "authority")
    for role, name in (
        (Role.TRACKER, "tracker"),
        (Role.BOARD, "pi4"),
        (Role.BOARD, "pi5"),
        (Role.CLIENT, "me"),
    ):
        authority.issue(Issue(Subject(role, name), folder / name, DAY))
    long_ago = datetime.now(UTC) - 2 * DAY
    authority.issue(Issue(Subject(Role.CLIENT, "late"), folder / "late", DAY), long_ago)
    return FarmKeys(folder)
