"""A command of autotune, run by the service in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from autotune.service.job_process import worker_environment

_COMMAND: Final = (sys.executable, "-m", "autotune.cli.main")
_REASON_CHARS: Final = 500


class CommandFailed(Exception):
    """The reason why a command gave no answer, in its own words."""


def output_of(limit_secs: float, *arguments: str) -> str:
    """The standard output of a command. Raises CommandFailed where it fails, or takes longer than the limit."""
    try:
        done = subprocess.run(
            [*_COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_secs,
            env=worker_environment(os.environ),
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"it took longer than {limit_secs:g} s") from error
    except subprocess.CalledProcessError as error:
        told = str(error.stderr).strip()[-_REASON_CHARS:]
        raise CommandFailed(told or f"it ended with exit code {error.returncode} and said nothing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(str(error)) from error
    return done.stdout
