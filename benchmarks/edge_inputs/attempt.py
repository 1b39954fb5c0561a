"""One hostile input, tried against the installed product."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LIMIT_SECS = 120


@dataclass(frozen=True)
class Attempt:
    """One input: `run` takes an empty folder and returns the fault in one line, None where there is none."""

    kind: str
    label: str
    run: Callable[[Path], str | None]


@dataclass(frozen=True)
class Ended:
    """An ended command: exit code, None where it was stopped after its limit, and output of both streams."""

    code: int | None
    output: str

    def fault(self, *codes: int) -> str | None:
        """The fault in one line: a traceback, a command that does not end, or an exit code not among `codes`."""
        lines = self.output.strip().splitlines()
        last = lines[-1][:200] if lines else "no output"
        if self.code is None:
            return f"did not end: {last}"
        if "Traceback (most recent call last)" in self.output:
            return f"traceback: {last}"
        return None if self.code in codes else f"exit code {self.code}: {last}"


def autotune(
    arguments: Sequence[str],
    folder: Path,
    environment: dict[str, str] | None = None,
    limit_secs: float = _LIMIT_SECS,
) -> Ended:
    """The command line in a process of its own, in that folder, with variables added to the environment."""
    command = [sys.executable, "-m", "autotune.cli.main", *arguments]
    return run_apart(command, folder, {**os.environ, **(environment or {})}, limit_secs)


def run_apart(
    command: Sequence[str | Path], folder: Path, environment: dict[str, str], limit_secs: float
) -> Ended:
    """A command in a process of its own, in that folder and with that environment alone."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_secs,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return Ended(None, (expired.stdout or b"").decode(errors="replace"))
    return Ended(done.returncode, done.stdout.decode(errors="replace"))
