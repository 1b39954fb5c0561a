"""A virtual environment with nothing but what a packaged model requires, linked from this one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

_REQUIRED = ("numpy", "msgspec", "apache-tvm-ffi", "typing-extensions")


def clean_environment(folder: Path, also: tuple[str, ...] = ()) -> Path:
    """Makes the environment, with distributions of this one also; returns its interpreter. Downloads nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for name in (*_REQUIRED, *also):
        files = metadata.files(name) or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(files[0].locate())).parents[len(files[0].parts) - 1] / top)
    return folder / "bin" / "python"


def install(python: Path, wheel: Path) -> None:
    """Installs a wheel, whose requirements have to be there."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--no-index",
            "--quiet",
            str(wheel),
        ],
        check=True,
    )
