"""The group `autotune token`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Make, list, revoke and rotate the tokens of a service.",
    {
        "create": Command("commands.token.tokens:create", "Make a token, and show it this once."),
        "list": Command("commands.token.tokens:list_", "List all tokens, without their secrets."),
        "revoke": Command("commands.token.tokens:revoke", "Make a token invalid from now on."),
        "rotate": Command("commands.token.tokens:rotate", "Make a token like another one, which is revoked."),
    },
)
