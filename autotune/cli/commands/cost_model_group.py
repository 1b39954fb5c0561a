"""`autotune cost-model`: train, judge, adapt and show cost models, and collect what they learn from."""

from __future__ import annotations

from autotune.cli.lazy_commands import command_group

app = command_group(
    "Train, judge, adapt and show cost models, and collect the measurements that they learn from.",
    {
        "train": "commands.cost_model.train:train",
        "evaluate": "commands.cost_model.evaluate:evaluate",
        "adapt": "commands.cost_model.train:adapt",
        "show": "commands.cost_model.show:show",
        "collect": "commands.cost_model.collect:collect",
    },
)
