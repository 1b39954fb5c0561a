"""The group `autotune farm`: its commands by name."""

from __future__ import annotations

from autotune.cli.lazy_commands import Command, command_group

app = command_group(
    "Describe the machines of a Ray cluster once, for Kubernetes and for ray up.",
    {
        "render": Command(
            "commands.farm.render:render",
            "Write a farm's manifest for KubeRay and its file for ray up.",
        ),
    },
)
