"""`autotune cost-model`: train, judge and adapt cost models, and collect what they learn from."""

from __future__ import annotations

import typer

from autotune.cli.collect_command import collect

cost_model_app = typer.Typer(
    help="Train, judge, adapt and show cost models, and collect the measurements that they learn from.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cost_model_app.command()(collect)
