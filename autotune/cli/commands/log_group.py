"""The group `autotune log`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Show, merge, compact, verify, share and convert tuning logs.",
    {
        "show": Command(
            "commands.log.show:show",
            "List tasks and devices of a log: how many trials, the best of them, and failures by kind.",
        ),
        "best": Command(
            "commands.log.show:best",
            "Print the fastest schedule of every task and device, or of one.",
        ),
        "merge": Command(
            "commands.log.merge:merge",
            "Put logs together: identical records once, other measurements of the same config as repeats.",
        ),
        "compact": Command(
            "commands.log.merge:compact",
            "Keep the best configs of every task and device, and a sample of the others to train cost models on.",
        ),
        "verify": Command(
            "commands.log.verify:verify",
            "Measure the best configs of this device again and report how far the times have drifted.",
        ),
        "export": Command(
            "commands.log.exchange:export",
            "Write a log as MetaSchedule databases, one per target and device, or as a Parquet table.",
        ),
        "push": Command(
            "commands.log.exchange:push",
            "Copy the records of a log that a team's database does not have yet into it.",
        ),
        "pull": Command(
            "commands.log.exchange:pull",
            "Copy the records of a team's database that a log does not have yet into it.",
        ),
        "diff": Command(
            "commands.log.diff:diff",
            "Hold the best times of two logs against each other, task by task and device by device.",
        ),
        "import": Command(
            "commands.log.exchange:import_",
            "Append the records of MetaSchedule databases whose schedules are in our search spaces to a log.",
        ),
    },
)
