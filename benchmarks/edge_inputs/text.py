"""Texts that look like markup, terminals and encodings, and arguments of no sense: "text", "terminals", "arguments"."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import onnx
import onnx.parser
from onnx import helper

from autotune import Budget, run_job
from autotune.jobs.status_file import read_status, write_status
from autotune.testing.toy_job import toy_engine, toy_plan
from edge_inputs.attempt import WALL_SECS, Attempt, Ended, autotune
from edge_inputs.forked import autotune_forked

_TEXT, _TERMINALS, _ARGUMENTS = "text", "terminals", "arguments"
_CPU_SECS = 30
_NAMES = (
    "[red]x[/red]", "[/]", "[link=x]y", ":smile:", "<b>x</b>", "</script><script>x()</script>", "&lt;",
    "{{ 7*7 }}", "$x$", "$\\frac$", "a$b", "_x", "%s%n", "{0}{x}", "\x1b[2J", "\x1b]0;x\x07", "a\rb", "a\nb",
    "\u202eevil", "\u2028", "日本語", "😀", "", " ", "x" * 3000, '"><img src=x>',
)  # fmt: skip
_MODELS = ("a[red]b[/red]", "<b>", "$x$", "a\x1b[2Jb", "日本", "a\nb", "%s{0}", "\u202ex")
_WIDTHS = (1, 5, 19, 20, 40, 57, 80, 132, 200, 300, 0, -1, 10_000, 99_999_999)
_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "no TERM": {"TERM": ""}, "TERM=dumb": {"TERM": "dumb"}, "TERM=no-such": {"TERM": "no-such"},
    "NO_COLOR": {"NO_COLOR": "1"}, "FORCE_COLOR": {"FORCE_COLOR": "1"},
    "both": {"NO_COLOR": "1", "FORCE_COLOR": "1"}, "COLUMNS=x": {"COLUMNS": "x"}, "LINES=0": {"LINES": "0"},
    "LINES=x": {"LINES": "x"}, "LC_ALL=C": {"LC_ALL": "C"}, "LC_ALL=no-such": {"LC_ALL": "no_SUCH"},
    "ascii": {"PYTHONIOENCODING": "ascii"}, "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "UTF-16": {"PYTHONIOENCODING": "utf-16"}, "no UTF-8 mode": {"PYTHONUTF8": "0", "LC_ALL": "POSIX"},
    "CI": {"CI": "true"},
}  # fmt: skip
# What Rich writes of its own on a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TUNE = ("tune", "--op", "matmul:8,8,8", "--device", "local?threads=1", "--log")
_COMMANDS = (
    ("tune", "--trials", "nan", "--op", "x"), ("tune", "--trials", "9" * 6000, "--op", "matmul:1,1,1"),
    ("tune", "--seed", "-1", "--trials", "1", "--op", "matmul:1,1,1"),
    ("tune", "--time", "infh", "--op", "matmul:1,1,1"),
    ("tune", "--max-mb", "nan", "--trials", "1", "x.onnx"), ("tune", "--op", "matmul:0,1,1", "--trials", "1"),
    ("tune", "--op", "matmul:99999999999,9,9", "--trials", "1"), (*_TUNE, "/", "--trials", "1"),
    (*_TUNE, "x\udcff/\n", "--time", ""), ("tasks", "/"), ("tasks", "/dev/zero"), ("tasks", ""),
    ("tasks", "\x1b[2J.onnx"), ("tasks", "--op", "x:\u202e"),
    ("tasks", "--op", "matmul:1,1,1", "--target", "llvm -mcpu="), ("tasks", "-\x1b[2J"),
    ("tasks", "--op", "matmul:1,1,1", "--target", "{"),
    ("tasks", "--shape", "x:1..0", "--op", "matmul:1,1,1"), ("check", "/dev/full"), ("run", "/dev/zero"),
    ("run", "."), ("run", "\udcff.toml"), ("status", "/proc/self/mem"), ("report", "/dev/null"),
    ("estimate", "--op", "matmul:1,1,1", "--device-card", "/dev/zero"), ("build", "x.onnx", "-o", "/"),
    ("bench", "x.onnx", "--against", "[red]"), ("devices", "rpc://127.0.0.1:99999/x"), ("devices", "cuda:-1"),
    ("nope",), ("devices", "local?threads=1e3"), ("serve-device", "--tracker", "x", "--key", "\n"),
    ("explain", "\x1b[2J"), ("--nope",), ("explain", "AT101", "\x1b[2J"), ("doctor", "x://"),
    ("log", "show", "/dev/random"), ("log", "show", "sqlite:////"), ("log", "best", "postgresql://[::1"),
    ("log", "merge", "/", "-o", "/"), ("log", "compact", "x", "-o", ""), ("log", "\r"),
    ("log", "export", "x", "y", "--to", "z"), ("log", "import", "x", "y", "--from", "metaschedule"),
    ("log", "pull", "x", "y"), ("cost-model", "show", "/dev/zero"), ("cost-model", "train", "/", "-o", "x"),
    ("cost-model", "evaluate", "x", "\udcff"),
)  # fmt: skip


def inputs() -> Iterator[Attempt]:
    """All inputs of the three kinds."""
    for name in _NAMES:
        yield Attempt(_TEXT, f"names of a job {ascii(name)[:40]}", functools.partial(_job, name))
    for name in _MODELS:
        yield Attempt(_TEXT, f"names in a model {name!a}", functools.partial(_model, name))
    for width in _WIDTHS:
        yield _terminal(f"COLUMNS={width}", {"COLUMNS": str(width)})
    for label, variables in _VARIABLES.items():
        yield _terminal(label, variables)
    for label, redirection in _STREAMS.items():
        yield Attempt(_TERMINALS, label, functools.partial(_redirected, redirection))
    yield Attempt(_TERMINALS, "a log of a search of many rounds", _log_of_a_search)
    for command in _COMMANDS:
        label = " ".join(command)
        yield Attempt(_ARGUMENTS, ascii(label)[:70], functools.partial(_refused, command))


def spoilt(ended: Ended, *codes: int) -> str | None:
    """The fault of a command; also one whose output has characters that a terminal obeys, or AT002."""
    if fault := ended.fault(*codes):
        return fault
    shown = _COLOURS.sub("", ended.output).replace("\r\n", "\n")
    obeyed = {one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    if obeyed:
        return f"obeyed characters: {sorted(obeyed)!a}"
    if "AT002" in shown or re.search(r"\b\w*Warning: ", shown):
        return f"unforeseen: {shown.strip().splitlines()[-1][:200]}"
    return None if shown.strip() else "no word"


# --- texts --------------------------------------------------------------------------------------------------------


def _make_job(folder: Path, name: str) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        run_job(toy_plan(folder / "job", Budget(trials=8)), toy_engine(0.0))
    status = read_status(folder / "job")
    assert status is not None
    tasks = tuple(msgspec.structs.replace(one, name=f"task {name}") for one in status.tasks)
    models = tuple(msgspec.structs.replace(one, name=f"model {name}") for one in status.models)
    devices = tuple(
        msgspec.structs.replace(one, warning=name or None, roofline=None) for one in status.devices
    )
    changed = msgspec.structs.replace(
        status, name=name, activity=name, tasks=tasks, models=models, devices=devices, warnings=(name,)
    )
    write_status(folder / "job", changed)


def _job(name: str, folder: Path) -> str | None:
    _make_job(folder, name)
    if fault := spoilt(autotune_forked(["status", "job"], folder), 0):
        return fault
    if fault := spoilt(autotune_forked(["report", "job", "-o", "report.html"], folder), 0):
        return fault
    page = (folder / "report.html").read_text(encoding="utf-8")
    return "the name is markup" if "<b>x" in page or "<script>x" in page or "<img" in page else None


def _model(name: str, folder: Path) -> str | None:
    graph = onnx.parser.parse_graph("g (float[n,8] x, float[8,4] w) => (float[n,4] y) { y = MatMul(x, w) }")
    graph.name = graph.node[0].name = graph.input[0].type.tensor_type.shape.dim[0].dim_param = name
    graph.input[0].name = graph.node[0].input[0] = name
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return spoilt(autotune_forked(["tasks", "model.onnx"], folder), 0, 1, 2)


# --- terminals ----------------------------------------------------------------------------------------------------

_STREAMS = {
    "stdout is closed": ">&-", "stderr is closed": "2>&-", "all are closed": "<&- >&- 2>&-",
    "stdout is full": ">/dev/full", "both are full": ">/dev/full 2>&1", "a reader that leaves": "| head -n 1",
}  # fmt: skip


def _terminal(label: str, variables: Mapping[str, str]) -> Attempt:
    return Attempt(_TERMINALS, label, functools.partial(_in_terminal, dict(variables)))


def _in_terminal(variables: dict[str, str], folder: Path) -> str | None:
    """A status, in a pipe and in a terminal, and the help of a command."""
    _make_job(folder, "µ-kernel → 日本 [red]")
    is_wide = variables.get("PYTHONIOENCODING") == "utf-16"  # which `autotune` does not decode
    for arguments in (["status", "job"], ["tune", "--help"], ["tune", "--nope"]):
        ended = autotune(arguments, folder, variables)
        if fault := ended.fault(0, 2) if is_wide else spoilt(ended, 0, 2):
            return f"{arguments}: {fault}"
    return None if is_wide else spoilt(_at_terminal(["status", "job"], folder, variables), 0)


def _at_terminal(arguments: list[str], folder: Path, variables: dict[str, str]) -> Ended:
    own, other = pty.openpty()
    command = [sys.executable, "-m", "autotune.cli.main", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **variables}, stdin=other, stdout=other, stderr=other
    )
    os.close(other)
    output = b""
    while True:
        try:
            read = os.read(own, 65536)
        except OSError:  # the other end was closed
            break
        output += read
    os.close(own)
    return Ended(process.wait(WALL_SECS), output.decode(errors="replace"))


def _redirected(redirection: str, folder: Path) -> str | None:
    _make_job(folder, "job")
    for arguments in ("status job", "status none", "tune --help"):
        script = f"{sys.executable} -m autotune.cli.main {arguments} {redirection}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, capture_output=True, timeout=WALL_SECS, check=False
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        if "Traceback" in output or "Exception ignored" in output or done.returncode not in (0, 1, 2):
            return f"{arguments}: exit code {done.returncode}: {output.strip()[-200:]}"
    return None


def _log_of_a_search(folder: Path) -> str | None:
    ended = autotune([*_TUNE, "log.jsonl", "--trials", "24", "--batch", "1", "--sampler", "random"], folder)
    lines = ended.output.count(" · measured ")
    return ended.fault(0) or (f"{lines} lines of progress of 24 rounds" if lines > 12 else None)


# --- arguments ----------------------------------------------------------------------------------------------------


def _refused(command: tuple[str, ...], folder: Path) -> str | None:
    return spoilt(autotune_forked(command, folder, cpu_secs=_CPU_SECS), 1, 2)
