"""`autotune log`: show, merge, compact, verify, share and convert tuning logs."""

from __future__ import annotations

from autotune.cli.command_group import command_group

app = command_group(
    "Show, merge, compact, verify, share and convert tuning logs.",
    {
        "show": "log_show_command:show",
        "best": "log_show_command:best",
        "merge": "log_merge_command:merge",
        "compact": "log_merge_command:compact",
        "verify": "log_verify_command:verify",
        "export": "log_exchange_command:export",
        "push": "log_exchange_command:push",
        "pull": "log_exchange_command:pull",
        "diff": "log_diff_command:diff",
        "import": "log_exchange_command:import_",
    },
)
