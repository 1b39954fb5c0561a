"""`autotune cost-model`: train, judge and adapt cost models, and collect what they learn from."""

from __future__ import annotations

import typer

cost_model_app = typer.Typer(
    help="Train, judge, adapt and show cost models, and collect the measurements that they learn from.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
