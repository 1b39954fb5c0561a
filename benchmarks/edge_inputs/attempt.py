"""One hostile input, tried against the installed product."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Processor time of each process of a command: it says of a busy machine the same as of one at rest.
CPU_SECS = 120
#: Elapsed time after which a command is taken to wait for something that does not come.
WALL_SECS = 300


@dataclass(frozen=True)
class Attempt:
    """One input: `run` takes an empty folder and returns the fault in one line, None where there is none.

    prepare: makes once, before the first input is tried, what several of them share.
    """

    kind: str
    label: str
    run: Callable[[Path], str | None]
    prepare: Callable[[], object] | None = None


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
    cpu_secs: int = CPU_SECS,
) -> Ended:
    """The command line in a process of its own, in that folder, with variables added to the environment."""
    command = [sys.executable, "-m", "autotune.cli.main", *arguments]
    return run_apart(command, folder, {**os.environ, **(environment or {})}, cpu_secs)


def run_apart(
    command: Sequence[str | Path], folder: Path, environment: dict[str, str], cpu_secs: int = CPU_SECS
) -> Ended:
    """A command in a process group of its own, in that folder and with that environment alone."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (cpu_secs, cpu_secs)),
    )
    code: int | None = None
    try:
        output, _ = process.communicate(timeout=WALL_SECS)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Ended(code, output.decode(errors="replace"))
