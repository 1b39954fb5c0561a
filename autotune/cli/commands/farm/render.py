"""`autotune farm render`: the files that set a farm up."""

from __future__ import annotations

from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from autotune.cli.console import tell
from autotune.cluster.farm_file import read_farm
from autotune.cluster.manifest import manifest
from autotune.cluster.ray_up import ray_up
from tuning_logs.atomic_file import atomically

# Of clusters that are described where Ray is not installed.
_RAY_VERSION = "2.60.0"


class Platform(StrEnum):
    """Platforms of farms."""

    KUBERNETES = "kubernetes"
    SSH = "ssh"


def render(
    farm: Annotated[Path, typer.Argument(metavar="FARM.toml", help="The description of the farm.")],
    platform: Annotated[
        Platform | None, typer.Option("--for", help="Render for one platform; by default for all that fit.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where to write; default: beside it.")
    ] = None,
) -> None:
    """Write a farm's manifest for KubeRay and its file for ray up, from one description."""
    described = read_farm(farm)
    folder = output or farm.parent
    folder.mkdir(parents=True, exist_ok=True)
    if platform in (None, Platform.KUBERNETES):
        _write(folder / f"{described.name}-kuberay.yaml", manifest(described, _ray_version()))
    if platform is Platform.SSH or (platform is None and described.head):
        _write(folder / f"{described.name}-ray-up.yaml", [ray_up(described)])


def _write(path: Path, documents: list[dict[str, Any]]) -> None:
    with atomically(path) as scratch:
        scratch.write_text(yaml.safe_dump_all(documents, sort_keys=False), "utf-8")
    tell(str(path))


def _ray_version() -> str:
    try:
        return metadata.version("ray")
    except metadata.PackageNotFoundError:
        return _RAY_VERSION
