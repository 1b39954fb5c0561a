"""`autotune cost-model`: train, judge, adapt and show cost models, and collect what they learn from."""

from __future__ import annotations

from autotune.cli.command_group import command_group

app = command_group(
    "Train, judge, adapt and show cost models, and collect the measurements that they learn from.",
    {
        "train": "cost_model_train_command:train",
        "evaluate": "cost_model_evaluate_command:evaluate",
        "adapt": "cost_model_train_command:adapt",
        "show": "cost_model_show_command:show",
        "collect": "collect_command:collect",
    },
)
