"""Surroundings of a process that are not the usual ones: variables, options of the interpreter, limits, terminals."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from edge_inputs.attempt import WALL_SECS, Attempt, Ended, autotune, run_apart
from edge_inputs.forked import autotune_forked
from edge_inputs.text import spoilt

_PATHS, _PYTHON, _MACHINE, _TERMINALS = "paths", "python", "machine", "terminals"
_OPERATOR = ("--op", "matmul:16,16,16")
_TUNE = ("tune", *_OPERATOR, "--trials", "2", "--device", "local?threads=1", "--log", "log.jsonl")
_FOLDERS = {
    "of odd bytes": "caf\udce9 \udcff", "of markup": "[red] <b> $x$", "of a line": "a\nb\rc",
    "of quotes": "it's \"x\" \\", "of percents": "%s%20{0}", "of commas": "a,b:c;d=e",
    "of an option": "-o", "of a wildcard": "*?[x]",
}  # fmt: skip
_DEEP = "/".join(["n" * 200] * 12)
_OPTIONS = (
    "-Werror",
    "-Xdev",
    "-O",
    "-OO",
    "-bb",
    "-u",
    "-Xutf8=0",
    "-Xint_max_str_digits=640",
    "-Xno_debug_ranges",
)
#: Limits of the shell, and the exit codes of a search under them.
_LIMITS: dict[str, tuple[int, ...]] = {
    "-n 24": (0, 1), "-n 64": (0,), "-f 1": (1,), "-f 200": (0, 1), "-s 512": (0,), "-l 0": (0,), "-c 0": (0,),
    "-v 1500000": (0, 1), "-v 4000000": (0, 1), "-t 2": (0, 1, -9, -24, 137, 152), "-i 0": (0,), "-q 0": (0,),
}  # fmt: skip
#: Sizes of a terminal, in lines and columns.
_SIZES = ((0, 0), (1, 1), (3, 40), (24, 40), (50, 300), (65_535, 65_535))


def inputs() -> Iterator[Attempt]:
    """All inputs of surroundings."""
    for label, name in _FOLDERS.items():
        for variable in ("TMPDIR", "HOME"):
            run = functools.partial(_search_with, variable, name)
            yield Attempt(_PATHS, f"a search where {variable} is {label}", run)
    yield Attempt(_PATHS, "a search where TMPDIR is long", functools.partial(_search_with, "TMPDIR", _DEEP))
    yield Attempt(
        _PATHS, "a search in a deep folder", functools.partial(_in_shell, "mkdir -p {d}; cd {d}", (0, 1, 2))
    )
    yield Attempt(
        _PATHS, "a search in a folder that is gone", functools.partial(_in_shell, "cd x; rmdir ../x", (1, 2))
    )
    for option in _OPTIONS:
        yield Attempt(_PYTHON, f"a search with {option}", functools.partial(_with_option, option))
    for limit, codes in _LIMITS.items():
        yield Attempt(
            _MACHINE,
            f"a search within ulimit {limit}",
            functools.partial(_in_shell, f"ulimit {limit}", codes),
        )
    for size in _SIZES:
        yield Attempt(_TERMINALS, f"tables at {size[0]} x {size[1]}", functools.partial(_sized, size))


def _search_with(variable: str, name: str, folder: Path) -> str | None:
    """A search where a folder of the system has an odd name; TVM takes none that is not UTF-8."""
    (folder / name).mkdir(parents=True)
    ended = autotune(_TUNE, folder, {variable: str(folder / name)})
    if variable == "TMPDIR" and "\udcff" in name:
        return spoilt(ended, 1) or (None if "whose path is UTF-8" in ended.output else "another reason")
    return spoilt(ended, 0)


def _in_shell(before: str, codes: tuple[int, ...], folder: Path) -> str | None:
    """A search in a shell that has done something before."""
    (folder / "x").mkdir()
    deep = "/".join(["n" * 200] * 12)
    script = f'{before.format(d=deep)} && exec "$@"'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "autotune.cli.main", *_TUNE]
    return run_apart(command, folder, dict(os.environ)).fault(*codes)


def _with_option(option: str, folder: Path) -> str | None:
    """A search and its log's table, by an interpreter with an option; XGBoost does not load with -OO."""
    for arguments in (_TUNE, ("log", "best", "log.jsonl"), ("doctor", "--json")):
        command = [sys.executable, option, "-m", "autotune.cli.main", *arguments]
        ended = run_apart(command, folder, dict(os.environ))
        is_refused = arguments[0] == "doctor" or option == "-OO"
        if fault := ended.fault(0, 1, 2) if is_refused else ended.fault(0):
            return f"{arguments[0]}: {fault}"
    return None


def _sized(size: tuple[int, int], folder: Path) -> str | None:
    """Tables and the progress of a search in a terminal of that size."""
    for arguments in (
        _TUNE,
        ("log", "show", "log.jsonl"),
        ("tasks", *_OPERATOR),
        ("devices",),
        ("tune", "--help"),
    ):
        if fault := _at_size(arguments, size, folder).fault(0):
            return f"{arguments[0]}: {fault}"
    return spoilt(autotune_forked(["log", "best", "log.jsonl"], folder), 0)


def _at_size(arguments: tuple[str, ...], size: tuple[int, int], folder: Path) -> Ended:
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    command = [sys.executable, "-m", "autotune.cli.main", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=other, stdout=other, stderr=other)
    os.close(other)
    output = b""
    try:
        while read := os.read(own, 65536):
            output += read
    except OSError:  # the other end was closed
        pass
    os.close(own)
    return Ended(process.wait(WALL_SECS), output.decode(errors="replace"))
