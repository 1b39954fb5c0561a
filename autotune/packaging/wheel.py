"""The form wheel of a package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autotune.packaging.package import PackageContents


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package as a wheel."""

    name: str = "wheel"

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """See `autotune.packaging.package.PackageForm`."""
        raise NotImplementedError
