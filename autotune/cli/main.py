"""The `autotune` command: its subcommands by name, and how errors become exit codes."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

import typer
from rich.text import Text

from autotune.cli.console import ERR, note
from autotune.cli.crash_report import VARIABLE, crash_report
from autotune.cli.lazy_commands import Command, command_group
from autotune.cli.memory_refusal import memory_refusal, require_memory
from autotune.cli.streams import open_streams
from autotune.workers.room import TEMPORARY_FOLDER_REMEDY, is_without_temporary_folder
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.printable_text import printable

app = command_group(
    "Tune tensor programs: find the fastest schedules for a model on a device, and build with them.",
    {
        "tasks": Command(
            "commands.tasks:tasks",
            "List the distinct operators of a model and the sizes of their search spaces.",
        ),
        "check": Command(
            "commands.check:check",
            "Check that a model can be built, and that the build computes what its own runtime computes.",
        ),
        "freeze": Command(
            "commands.freeze:freeze",
            "Write an ONNX model with some of its inputs as constants.",
        ),
        "tune": Command(
            "commands.tune:tune",
            "Tune a model, or one operator, on a device.",
        ),
        "run": Command(
            "commands.run:run",
            "Run a job: several models, on several devices, within a budget.",
        ),
        "status": Command(
            "commands.status:status",
            "Show where a job stands: tasks, models, budget, warnings.",
        ),
        "report": Command(
            "commands.report:report",
            "Write what a job found into one HTML file that needs no network.",
        ),
        "watch": Command(
            "commands.watch:watch",
            "Show a job in a browser on this machine, while it runs and afterwards.",
        ),
        "rerun": Command(
            "commands.rerun:rerun",
            "Measure one record of a log again, and compare.",
        ),
        "estimate": Command(
            "commands.estimate:estimate",
            "Estimate a model's latency on a device once it is tuned, without measuring.",
        ),
        "build": Command(
            "commands.build:build",
            "Build a model with the best schedules of a log, and measure it where it can run here.",
        ),
        "package": Command(
            "commands.package:package",
            "Build a model, and package it with what running needs: a Python wheel, a C++ archive.",
        ),
        "bench": Command(
            "commands.bench:bench",
            "Run the tuned model, its own runtime and others in turns, and compare their outputs.",
        ),
        "compare": Command(
            "commands.compare:compare",
            "Compare engines on models and devices: latencies, memory, load times, and which one is the fastest.",
        ),
        "verdict": Command(
            "commands.verdict:verdict",
            "Show which engines on which devices hold the limits, the cheapest first.",
        ),
        "capacity": Command(
            "commands.capacity:capacity",
            "Find how many requests a second a model serves within a latency limit, and their price.",
        ),
        "devices": Command(
            "commands.devices:devices",
            "List devices, their targets and the speed-up of their threads.",
        ),
        "serve-device": Command(
            "commands.serve_device:serve_device",
            "Serve this device to an RPC tracker, until Ctrl-C.",
        ),
        "serve-tracker": Command(
            "commands.serve_tracker:serve_tracker",
            "Serve the tracker, where boards register and clients ask for them, until Ctrl-C.",
        ),
        "keys": Command(
            "commands.keys_group:",
            "Make the certificates and tokens by which boards, trackers and clients of a farm know each other.",
        ),
        "doctor": Command(
            "commands.doctor:doctor",
            "Check everything that a job needs, and say how to mend what is missing.",
        ),
        "serve": Command(
            "commands.serve:serve",
            "Serve a web interface to which models are uploaded and jobs submitted.",
        ),
        "remote": Command(
            "commands.remote_group:",
            "Submit jobs to a service, follow them, and fetch their results.",
        ),
        "farm": Command(
            "commands.farm_group:",
            "Describe the machines of a Ray cluster once, for Kubernetes and for ray up.",
        ),
        "token": Command(
            "commands.token_group:",
            "Make, list, revoke and rotate the tokens of a service.",
        ),
        "explain": Command(
            "commands.explain:explain",
            "Explain an error code: why it happens, and what to do.",
        ),
        "cost-model": Command(
            "commands.cost_model_group:",
            "Train, evaluate, adapt and show cost models, and collect their training data.",
        ),
        "log": Command(
            "commands.log_group:",
            "Show, merge, compact, verify, share and convert tuning logs.",
        ),
    },
    measuring=("tune", "run", "check", "estimate"),
)


# ONNX Runtime reports its use and keeps an identifier in the home folder, or complains on stderr that it cannot.
_WITHOUT_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")
# A class of Click, which some versions of Typer bring along under a name of their own.
_UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Runs the command line; exits with 0 done, 1 failed, 2 misuse, 130 stopped by Ctrl-C.

    An error is printed on stderr: as text, or with --json as a line with one JSON document. The traceback of an
    unforeseen one goes into a file, or with AUTOTUNE_TRACEBACK=1 to stderr.
    """
    open_streams()
    os.environ.setdefault(*_WITHOUT_TELEMETRY)
    try:
        _run()
    except AutotuneError as error:
        _fail(memory_refusal(error) or error)
    except OSError as error:
        _fail(memory_refusal(error) or refusal(error))
    except Exception as error:
        short = memory_refusal(error)
        if short is None and os.environ.get(VARIABLE):
            raise
        _fail(short or crash_report(error))


def _run() -> None:
    require_memory(sys.argv[1:])
    try:
        sys.exit(app(standalone_mode=False))
    except _UsageError as error:
        _refuse_arguments(error)
    finally:
        sys.stdout.flush()  # what cannot be written is an error while errors can be told


def _refuse_arguments(error: Any) -> NoReturn:
    """Raises Misuse for arguments that do not fit the command; exits where there were none and help was printed."""
    found = error.format_message().strip()
    if not found:
        sys.exit(error.exit_code)
    command = error.ctx.command_path if error.ctx else "autotune"
    raise Misuse(f"{found.rstrip('.')}; see {command} --help", code="AT805") from error


def _fail(error: AutotuneError) -> NoReturn:
    _print_json(error) if "--json" in sys.argv else _print(error)
    sys.exit(2 if isinstance(error, Misuse) else 1)


def refusal(error: OSError) -> AutotuneError:
    """The error for a system that refuses a file or a process where no call of the package expects it."""
    where = error.filename
    reason = error.strerror or str(error) or type(error).__name__
    place = f" at {where}" if where else ""
    remedy = f"; {TEMPORARY_FOLDER_REMEDY}" if is_without_temporary_folder(reason) else ""
    return AutotuneError(f"expected the system to do as asked, found{place}: {reason}{remedy}", code="AT807")


def _print(error: AutotuneError) -> None:
    ERR.print(Text.assemble((f"error[{error.code}]", "bold red"), f": {printable(str(error))}"))
    note(f"autotune explain {error.code} says why, and what to do", "dim")


def _print_json(error: AutotuneError) -> None:
    note(json.dumps({"error": {"code": error.code, "message": str(error)}}))


if __name__ == "__main__":
    main()
