"""The command line in this process, where TVM is loaded already, and as a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from unittest import mock

from autotune.cli.main import main

COMMAND = [sys.executable, "-m", "autotune.cli.main"]
WIDTH = {"COLUMNS": "200"}


def run_here(*arguments: object, env: Mapping[str, str] = WIDTH) -> subprocess.CompletedProcess[str]:
    """Calls `autotune` in this process; what it would print and exit with."""
    command = ["autotune", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ, {**WIDTH, **env}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(command, int(str(code or 0)), out.getvalue(), err.getvalue())


def run_apart(*arguments: object, env: Mapping[str, str] = WIDTH) -> subprocess.CompletedProcess[str]:
    """Runs `autotune` in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **WIDTH, **env},
    )
