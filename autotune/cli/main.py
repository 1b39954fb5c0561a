"""The `autotune` command."""

from __future__ import annotations

import sys

from rich.text import Text

from autotune.cli.console import ERR
from autotune.cli.lazy_commands import command_group
from search_spaces.errors import AutotuneError, Misuse

app = command_group(
    "Tune tensor programs: find the fastest schedules for a model on a device, and build with them.",
    {
        "tasks": "commands.tasks:tasks",
        "tune": "commands.tune:tune",
        "run": "commands.run:run",
        "status": "commands.status:status",
        "report": "commands.report:report",
        "estimate": "commands.estimate:estimate",
        "build": "commands.build:build",
        "bench": "commands.bench:bench",
        "devices": "commands.devices:devices",
        "serve-device": "commands.serve_device:serve_device",
        "doctor": "commands.doctor:doctor",
        "cost-model": "commands.cost_model_group:",
        "log": "commands.log_group:",
    },
    measuring=("tune", "run"),
)


def main() -> None:
    """Runs the command line; exits with 0 done, 1 failed, 2 misuse, 130 stopped by Ctrl-C."""
    try:
        app()
    except Misuse as error:
        _fail(error, 2)
    except AutotuneError as error:
        _fail(error, 1)


def _fail(error: AutotuneError, code: int) -> None:
    ERR.print(Text.assemble(("autotune: ", "bold red"), str(error)))
    sys.exit(code)


if __name__ == "__main__":
    main()
