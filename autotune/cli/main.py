"""The `autotune` command."""

from __future__ import annotations

import sys

import optuna
import typer

from autotune.cli.bench_command import bench
from autotune.cli.build_command import build
from autotune.cli.console import ERR
from autotune.cli.cost_model_command import cost_model_app
from autotune.cli.devices_command import devices
from autotune.cli.doctor_command import doctor
from autotune.cli.log_command import log_app
from autotune.cli.report_command import report
from autotune.cli.run_command import run
from autotune.cli.serve_device_command import serve_device
from autotune.cli.status_command import status
from autotune.cli.tasks_command import tasks
from autotune.cli.tune_command import tune
from search_spaces import AutotuneError, Misuse

app = typer.Typer(
    help="Tune tensor programs: find the fastest schedules for a model on a device, and build with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (tasks, tune, run, status, report, build, bench, devices, serve_device, doctor):
    app.command()(command)
app.add_typer(cost_model_app, name="cost-model")
app.add_typer(log_app, name="log")


def main() -> None:
    """Runs the command line; exits with 0 done, 1 failed, 2 misuse, 130 stopped by Ctrl-C."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        app()
    except Misuse as error:
        _fail(error, 2)
    except AutotuneError as error:
        _fail(error, 1)


def _fail(error: AutotuneError, code: int) -> None:
    ERR.print(f"[bold red]autotune:[/bold red] {error}", highlight=False, markup=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
