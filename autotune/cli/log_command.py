"""`autotune log`: what is in a tuning log, and what can be done with it."""

from __future__ import annotations

import typer

from autotune.cli.log_diff_command import diff
from autotune.cli.log_exchange_command import export, import_, pull, push
from autotune.cli.log_merge_command import compact, merge
from autotune.cli.log_show_command import best, show
from autotune.cli.log_verify_command import verify

log_app = typer.Typer(
    help="Show, merge, compact, verify, share and convert tuning logs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (show, best, merge, compact, verify, export, push, pull, diff):
    log_app.command()(command)
log_app.command("import")(import_)
