"""The group `autotune remote`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Submit jobs to a service, follow them, and fetch their results.",
    {
        "submit": Command(
            "commands.remote.submit:submit", "Upload models, show what is known of them, and queue a job."
        ),
        "status": Command("commands.remote.jobs:status", "Show the newest jobs, or where one job stands."),
        "bookings": Command(
            "commands.remote.bookings:bookings", "Show which job has which device of the service's cluster."
        ),
        "wait": Command("commands.remote.jobs:wait", "Wait for a job, and show its results."),
        "results": Command("commands.remote.jobs:results", "Show what a job has found so far."),
        "package": Command(
            "commands.remote.jobs:package", "Fetch a file of a job, or have packages built of it."
        ),
        "cancel": Command("commands.remote.jobs:cancel", "Cancel a job that waits or runs."),
        "again": Command("commands.remote.jobs:again", "Queue a job that is over with more time or trials."),
    },
)
