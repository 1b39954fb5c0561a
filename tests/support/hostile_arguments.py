"""Command lines of every command with values that nobody would type on purpose."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
from comparison_fixtures import make_comparison, make_row
from literal_texts import literal_status
from onnx import helper
from repository import GOLDEN
from typer.main import get_command

from autotune.cli.main import app
from autotune.comparison.result_file import write_comparison
from autotune.jobs.status_file import write_status
from autotune.transport.authority import make_authority

_WORDS = (
    "", " ", "-", "--", "---", "-x", "--json", "--help", "--no-such", "--trials=1", "=", ":", ",", ";", "\n", "\t",
    "0", "1", "-1", "007", "1e3", "1e400", "nan", "inf", "-inf", "9" * 30, "-" + "9" * 30, "9" * 5000, "0x10", "1_0",
    "١٢", "½", "²", "٣s", "True", "none", "null", "*", "~", "~nobody", "$HOME", "${x}", "{}", "{0}", "{x!r}", "%s%n",
    "%(x)s", "[red]", "[/red]", "[/]", "[link=x]", ":smile:", "<b>x</b>", "$x$", "\\", "'", '"', "a b", "x" * 300,
    "x" * 70_000, "日本語", "ünïcode", "e\u0301", "\U0001f600", "\u202eevil", "\u2028", "\ufeffx", "\x1b[2J", "\r",
    "\x07", "\x7f", "\x9b2J", "\udcff", "\udcff\udcfe.onnx", "a\udc80b",
)  # fmt: skip
_PATHS = (
    "/", ".", "..", "/proc/nowhere/x", "/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/proc/self/mem",
    "/proc/x",
    "/proc/self/environ", "/sys/kernel", "folder", "folder/", "empty", "binary", "binary.onnx", "binary.pt2",
    "binary.tflite", "binary.so", "binary.toml", "binary.jsonl", "binary.jsonl.gz", "binary.db", "binary.costmodel",
    "empty.onnx", "empty.pt2", "empty.tflite", "empty.toml", "empty.jsonl", "empty.json", "empty.costmodel",
    "folder.onnx", "folder.jsonl", "loop", "closed", "binary/x", "text.toml", "text.onnx", "x" * 300 + ".onnx",
    "n/" * 3000 + "x.jsonl", "-o.jsonl", "[x].jsonl", "a\nb.jsonl", "\x1b[2J.onnx", "\udcff.toml",
)  # fmt: skip
_URLS = (
    "sqlite://", "sqlite:///", "sqlite:////", "sqlite:////proc/x.db", "sqlite:///binary.db", "sqlite:///folder",
    "sqlite:///\udcff.db", "sqlite:///x?y=%zz", "postgresql://", "postgresql://127.0.0.1:9/x?connect_timeout=1",
    "postgresql://127.0.0.1:99999/x", "postgresql://[::1", "postgresql://a:b@127.0.0.1:x/y", "mysql://127.0.0.1:9/x",
    "http://127.0.0.1:9/", "file:///x", "://", "x://", "redis://127.0.0.1:9", "local", "local?", "local?threads",
    "local?threads=0", "local?threads=-1", "local?threads=1e3", "local?threads=99999999999999999999",
    "local?threads=1&threads=2", "local?x=y", "local?threads=\udcff", "localx", "rpc://", "rpc://x", "rpc://:0/",
    "rpc://127.0.0.1:9/x", "rpc://127.0.0.1:99999/x", "rpc://127.0.0.1:-1/x?target=llvm", "rpc://[::1/x?target=llvm",
    "rpc://127.0.0.1:9/x?target=llvm", "rpc://127.0.0.1:9/%00?target=llvm", "rpc://127.0.0.1:9/x?target=",
    "rpc://127.0.0.1:9/x?target={", "rpc://127.0.0.1:9/x?target=llvm -mcpu=no-such", "cuda", "cuda:99", "cuda?x",
)  # fmt: skip
_SPECIFIC = (
    "matmul", "matmul:", "matmul:0,1,1", "matmul:-1,1,1", "matmul:1,1", "matmul:1,1,1,1", "matmul:99999999999,9,9",
    "matmul:" + "9" * 5000 + ",1,1", "matmul:١,٢,٣", "conv2d:1,3,8,8,4,3,3", "conv2d:1,1,1,1,1,9,9,1,0", "x:1,2",
    "matmul:1,1,1:x", "x:1..2", "x:2..1", "x:1..8:0", "x:1..8:9", "x:1..9999999999", "x:1..8,", "x:..", "x=0", "x=1..",
    "x=" + "9" * 5000, "x:" + "9" * 5000, "=1", ":1", "x:" + "1," * 5000 + "1", "llvm", "llvm -mcpu=x", "llvm -x",
    "c", "cuda -arch=x", "llvm -num-cores=x", "llvm -num-cores=-1", "llvm -num-cores=99999999999999999999", '{"kind":',
    '{"kind": "llvm"}', '{"kind": 1}', "{}", "[]", "llvm --system-lib", "5m", "0s", "-5m", "1e400s", "nans", "infh",
    "5 m", "m", "9" * 400 + "h", "0.5", "-0.5", "2", "1e-400", "AT101", "at101", "AT", "AT1010", "AT999", "127.0.0.1",
    "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1]:9", ":::", "random", "cost_model", "cost-model", "tasks",
    "metaschedule", "parquet",
)  # fmt: skip
_FARM = (
    'name = "lab"\nimage = "images.example/autotune:0.2.0"\njob = "jobs.toml"\n'
    '[[machines]]\nname = "builders"\ncpus = 16\nmemory_gb = 32\n'
)
HOSTILE = (*_WORDS, *_PATHS, *_URLS, *_SPECIFIC)


def make_files(folder: Path) -> None:
    """Fills a folder with the files that hostile values name."""
    for name in HOSTILE:
        path = folder / name
        if "/" in name or len(name) > 200 or "." not in name.strip("."):
            continue
        if name.startswith("binary"):
            path.write_bytes(os.urandom(1000))
        elif name.startswith("empty"):
            path.touch()
    shutil.copy(GOLDEN / "tuning_log_1.4.jsonl", folder / "golden.jsonl")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "text.toml").write_text("[a]\nb = 'c'\n", encoding="utf-8")
    (folder / "text.onnx").write_text("no model", encoding="utf-8")
    graph = onnx.parser.parse_graph("g (float[n,8] x, float[8,4] w) => (float[n,4] y) { y = MatMul(x, w) }")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "matmul.onnx")
    (folder / "farm.toml").write_text(_FARM, encoding="utf-8")
    write_comparison(folder / "comparison.json", make_comparison([make_row("autotune", [0.003])]))
    make_authority(folder / "keys", timedelta(days=1))
    (folder / "job").mkdir()
    write_status(folder / "job", literal_status())
    for name in ("folder", "folder.onnx", "folder.jsonl", "closed"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "closed").chmod(0)
    (folder / "loop").symlink_to("loop")


@cache
def commands() -> Mapping[tuple[str, ...], Any]:
    """All commands, with the parameters that Click knows of, by their words."""
    return dict(_walk(get_command(app), ()))


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    with command.make_context("autotune", ["--help"], resilient_parsing=True) as context:
        for name in command.commands:
            # The help of a command starts no processes.
            _, found, _ = command.resolve_command(context, [name, "--help"])
            yield from _walk(found, (*words, name))


def command_line(words: tuple[str, ...], source: random.Random) -> list[str]:
    """A command with some hostile values, and plausible ones for some of the others."""
    options, arguments = [], []
    parameters = [one for one in commands()[words].params if one.name != "help"]
    hostile = source.choice(parameters) if parameters else None
    for parameter in parameters:
        chance = source.random()
        is_hostile = parameter is hostile or chance < 0.15
        if not is_hostile and not parameter.required and chance < 0.75:
            continue
        if getattr(parameter, "is_flag", False):
            options.append(source.choice([parameter.opts[0], f"{parameter.opts[0]}=x"][: 1 + is_hostile]))
            continue
        value = source.choice(HOSTILE) if is_hostile else _plausible(words, parameter)
        if parameter.param_type_name == "argument":
            arguments += [value] * source.choice([1, 1, 1, 2])
        else:
            options += source.choice([[parameter.opts[0], value], [f"{parameter.opts[0]}={value}"]])
    if source.random() < 0.1:
        options.append(source.choice(HOSTILE))
    line = [*options, *arguments] if source.random() < 0.5 else [*arguments, *options]
    return [*words, *line]


def _plausible(words: tuple[str, ...], parameter: Any) -> str:
    log = "golden.jsonl"
    is_import = words[-1] == "import"
    known = {
        "model": "matmul.onnx" if words == ("tasks",) else "text.onnx", "op": "matmul:8,8,8", "log": log, "logs": log,
        "first": log, "second": log, "device": "local?threads=1", "devices": "text.toml", "names": "local",
        "target": "llvm -num-cores=1", "shape": "x:1,8", "dim": "n=1", "time": "1s", "url": "sqlite:///team.db",
        "tracker": "127.0.0.1:9", "listen": "127.0.0.1:0", "key": "board", "code": "AT101", "jobs": "text.toml",
        "folder": "folder" if is_import else "job", "source": "metaschedule" if is_import else "binary.costmodel",
        "output": "out", "to": "metaschedule", "cost_model": "none", "until_gain": "0.5", "max_mb": "8",
        "strict": "0.5", "against": "untuned", "sampler": "random", "held_out": "tasks", "report": "page.html",
        "plots": "plots", "farm": "farm.toml", "comparison": "comparison.json", "record": "matmul", "scope": "read",
        "valid": "1d", "platform": "kubernetes",
    }  # fmt: skip
    if words[0] == "cost-model" and parameter.name == "model" and words[-1] != "collect":
        return "binary.costmodel"
    if (words[0], parameter.name) in (("remote", "url"), ("keys", "folder")):
        return "http://127.0.0.1:9" if words[0] == "remote" else "keys"
    return known.get(parameter.name, "1")
