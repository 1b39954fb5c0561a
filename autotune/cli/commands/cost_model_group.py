"""The group `autotune cost-model`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Train, evaluate, adapt and show cost models, and collect their training data.",
    {
        "train": Command(
            "commands.cost_model.train:train",
            "Train a cost model on tuning logs, and evaluate it on held-out tasks.",
        ),
        "evaluate": Command(
            "commands.cost_model.evaluate:evaluate",
            "Judge a model by the tasks in logs that it did not learn from.",
        ),
        "adapt": Command(
            "commands.cost_model.train:adapt",
            "Adapt a cost model to the device of a few new records.",
        ),
        "show": Command(
            "commands.cost_model.show:show",
            "Print a model's card and its most important features.",
        ),
        "collect": Command(
            "commands.cost_model.collect:collect",
            "Measure a sample of a model's tasks to train a cost model on.",
        ),
    },
)
