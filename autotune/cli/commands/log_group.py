"""`autotune log`: show, merge, compact, verify, share and convert tuning logs."""

from __future__ import annotations

from autotune.cli.lazy_commands import command_group

app = command_group(
    "Show, merge, compact, verify, share and convert tuning logs.",
    {
        "show": "commands.log.show:show",
        "best": "commands.log.show:best",
        "merge": "commands.log.merge:merge",
        "compact": "commands.log.merge:compact",
        "verify": "commands.log.verify:verify",
        "export": "commands.log.exchange:export",
        "push": "commands.log.exchange:push",
        "pull": "commands.log.exchange:pull",
        "diff": "commands.log.diff:diff",
        "import": "commands.log.exchange:import_",
    },
)
