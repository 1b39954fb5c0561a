"""Commands where nothing but one folder can be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

# The whole tree is read-only for the command, but for one file system in memory.
READ_ONLY = """
mount --make-rprivate / && mount -t tmpfs tmpfs "$WRITABLE" && mount -o remount,ro,bind / || exit 99
cd / && exec "$@"
"""


def run_read_only(writable: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line where the folder alone, which is empty, can be written to."""
    command = ["unshare", "-m", "bash", "-c", READ_ONLY, "bash", sys.executable, "-m", "autotune.cli.main"]
    home = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), "/root")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **home, "PYTHONPATH": paths, "WRITABLE": str(writable), **environment},
    )
    if done.returncode in (1, 99) and ("unshare" in done.stderr or done.returncode == 99):
        pytest.skip("mounting needs root")
    return done
