"""The command line in a child that is forked from this process, which has imported TVM and its kin already."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_inputs.attempt import CPU_SECS, WALL_SECS, Ended

#: Modules that commands spend most of their time importing.
_HEAVY = ("matplotlib.figure", "pandas", "sklearn", "tvm", "xgboost")
_FORK = multiprocessing.get_context("fork")


def import_heavy() -> None:
    """Imports what commands load for seconds, none of which looks at the streams or the arguments of a process."""
    for name in _HEAVY:
        importlib.import_module(name)


def autotune_forked(arguments: Sequence[str], folder: Path, cpu_secs: int = CPU_SECS) -> Ended:
    """The command line in that folder, as `attempt.autotune` runs it, seconds of imports earlier."""
    with tempfile.TemporaryFile() as output:
        process = _FORK.Process(target=_run, args=(arguments, folder, output.fileno(), cpu_secs))
        process.start()
        try:
            process.join(WALL_SECS)
            code = process.exitcode
        finally:
            if process.exitcode is None:
                assert process.pid is not None
                os.killpg(process.pid, signal.SIGKILL)
                process.join()
        output.seek(0)
        return Ended(code, output.read().decode(errors="replace"))


def _run(arguments: Sequence[str], folder: Path, output: int, cpu_secs: int) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_secs, cpu_secs))
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(output, stream)
    # Its consoles look at the streams when they are imported.
    for name in [one for one in sys.modules if one.startswith("autotune.cli")]:
        del sys.modules[name]
    sys.argv = ["autotune", *arguments]
    importlib.import_module("autotune.cli.main").main()
