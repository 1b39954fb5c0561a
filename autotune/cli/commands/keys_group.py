"""The group `autotune keys`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Make the certificates and tokens by which boards, trackers and clients of a farm know each other.",
    {
        "authority": Command(
            "commands.keys.identities:authority", "Make the authority that issues all other keys of a farm."
        ),
        "tracker": Command("commands.keys.identities:tracker", "Make the identity of the farm's tracker."),
        "board": Command("commands.keys.identities:board", "Make the identity of a board."),
        "client": Command(
            "commands.keys.identities:client", "Make the identity of a user or machine that tunes on boards."
        ),
        "revoke": Command(
            "commands.keys.identities:revoke",
            "Revoke the certificates of an identity: nobody lets it in any more.",
        ),
        "list": Command(
            "commands.keys.identities:list_", "List the identities in a folder, and when they expire."
        ),
    },
)
