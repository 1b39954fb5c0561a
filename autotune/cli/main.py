"""The `autotune` command."""

from __future__ import annotations

import sys

from rich.markup import escape

from autotune.cli.command_group import command_group
from autotune.cli.console import ERR
from search_spaces.errors import AutotuneError, Misuse

app = command_group(
    "Tune tensor programs: find the fastest schedules for a model on a device, and build with them.",
    {
        "tasks": "tasks_command:tasks",
        "tune": "tune_command:tune",
        "run": "run_command:run",
        "status": "status_command:status",
        "report": "report_command:report",
        "estimate": "estimate_command:estimate",
        "build": "build_command:build",
        "bench": "bench_command:bench",
        "devices": "devices_command:devices",
        "serve-device": "serve_device_command:serve_device",
        "doctor": "doctor_command:doctor",
        "cost-model": "cost_model_command:",
        "log": "log_command:",
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
    ERR.print("[bold red]autotune:[/bold red]", escape(str(error)), highlight=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
