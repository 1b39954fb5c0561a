"""Every fenced code block of the documentation is run, or a comment before it says why not.

sh: commands of `autotune` are parsed by the command line, without being carried out; targets of `make` exist; any other
command needs a comment. python: the blocks of a page run in order, in one namespace, on small inputs. toml: read as the
file that the first line names. json: a line of a log, with its checksum. The comment: <!-- not run: the reason -->.
"""

from __future__ import annotations

import json
import re
import shlex
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer.core
from onnx import TensorProto, helper, numpy_helper
from repository import ROOT

import cost_models
from autotune.cli import lazy_commands
from autotune.cli.main import app
from autotune.cluster.farm_file import read_farm
from autotune.devices.device_file import read_devices
from autotune.jobs.job_file import read_job_file
from tuning_logs import TuningLog

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"]
)
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
_MARKER = re.compile(r"^ *<!-- not run: (\S.*) -->$")
_RUN = ("sh", "python", "toml", "json")
_ENDS = ("&&", "||", "&", ";", "|")
# What takes minutes in a page takes seconds here, and needs neither a quiet machine nor a server.
_SMALLER = {
    "secs=300": "trials=4",
    'parse_device("local")': 'parse_device("local?threads=1")',
    "postgresql://tuner@host/tuning": "sqlite:///store.db",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language, its text, and why it is not run, if it is not."""

    place: str
    language: str
    text: str
    reason: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The simple commands of a shell block, as lists of words."""
        found: list[list[str]] = [[]]
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars=True)
            words.whitespace_split = True
            for word in words:
                if word in _ENDS:
                    found.append([])
                else:
                    found[-1].append(word)
            found.append([])
        return [words for words in found if words]


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, of one language or of any."""
    found = _blocks(page, (ROOT / page).read_text("utf-8").splitlines())
    return [block for block in found if language in (None, block.language)]


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence:
            indent, mark, language = fence.groups()
            end = next(each for each in range(number + 1, len(lines)) if lines[each].strip() == mark)
            text = "\n".join(line.removeprefix(indent) for line in lines[number + 1 : end])
            marker = _MARKER.match(lines[number - 1]) if number else None
            reason = marker.group(1) if marker else None
            yield Block(f"{page}:{number + 1}", language.partition(" ")[0], text, reason)
            number = end
        number += 1


def pages_with(language: str) -> list[str]:
    """The pages that have a block of the language."""
    return [page for page in PAGES if blocks(page, language)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    for block in blocks(page):
        if block.reason is None:
            assert block.language in _RUN, f"{block.place}: give it a language, or say why it is not run"
        if block.reason is None and block.language == "sh":
            strangers = [words for words in block.commands if words[0] not in ("autotune", "make")]
            assert not strangers, f"{block.place}: nothing runs {strangers}: say why, in a comment before it"


@pytest.mark.parametrize("page", PAGES)
def test_code_is_fenced(page: str) -> None:
    """An indented block would be code that nobody looks at."""
    text = re.sub(r"^( *)```.*?^ *```$", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n", text)
    indented = [one for one in paragraphs if one.startswith("    ")]
    assert not indented, f"{page}: put {indented[0]!r} between fences"


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Parses the arguments of `autotune` as it does itself, without carrying the command out."""
    ran: list[str] = []
    monkeypatch.setattr(typer.core.TyperCommand, "invoke", lambda command, context: ran.append(command.name))
    # Starts while TVM loads; here nothing is going to be measured.
    monkeypatch.setattr(lazy_commands, "kernel_server", nullcontext)

    def parse(arguments: list[str]) -> None:
        ran.clear()
        app(arguments, standalone_mode=False)
        assert len(ran) == 1, f"autotune {shlex.join(arguments)} names no command"

    return parse


@pytest.mark.parametrize("page", pages_with("sh"))
def test_commands_are_accepted(
    page: str, parse: Callable[[list[str]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for block in blocks(page, "sh"):
        for words in block.commands:
            if words[0] == "make":
                assert set(words[1:]) <= targets, f"{block.place}: the Makefile has no {words[1:]}"
            elif words[0] == "autotune":
                arguments = words[1 : words.index(">")] if ">" in words else words[1:]
                try:
                    parse(arguments)
                except Exception as error:
                    raise AssertionError(f"{block.place}: autotune {shlex.join(arguments)}") from error


@pytest.mark.parametrize(
    "arguments",
    ["retune model.onnx", "tune model.onnx --tryals 3", "log shew a.jsonl", "run", "tune --trials x"],
)
def test_a_wrong_command_is_refused(arguments: str, parse: Callable[[list[str]], None]) -> None:
    with pytest.raises(Exception, match=r"No such|Missing|valid integer"):
        parse(arguments.split())


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = _given(page)
    for block in blocks(page, "python"):
        if block.reason is None:
            text = block.text
            for large, small in _SMALLER.items():
                text = text.replace(large, small)
            exec(compile(text, block.place, "exec"), namespace)


def test_what_is_replaced_is_there() -> None:
    everything = "\n".join(block.text for page in PAGES for block in blocks(page, "python"))
    assert all(large in everything for large in _SMALLER)


@pytest.mark.parametrize("page", pages_with("toml"))
def test_files_are_read(page: str, tmp_path: Path) -> None:
    readers: dict[str, Any] = {
        "jobs.toml": read_job_file,
        "devices.toml": read_devices,
        "farm.toml": read_farm,
    }
    for block in blocks(page, "toml"):
        name = re.match(r"# ([\w.]+)", block.text)
        assert name, f"{block.place}: its first line names no file"
        for model in re.findall(r'"(\w+\.onnx)"', block.text):
            (tmp_path / model).touch()
        path = tmp_path / name.group(1)
        path.write_text(block.text, "utf-8")
        assert readers[name.group(1)](path)


@pytest.mark.parametrize("page", pages_with("json"))
def test_lines_have_their_checksums(page: str) -> None:
    for block in blocks(page, "json"):
        for line in block.text.splitlines():
            head, _, _ = line.encode().rpartition(b',"crc":')
            assert json.loads(line)["crc"] == f"{zlib.crc32(head):08x}", block.place


def _given(page: str) -> dict[str, Any]:
    """What the Python of a page takes for granted: files in the current folder, and names."""
    _save_network(Path("model.onnx"))
    if page == "docs/cost_models.md":
        for network in ("squeezenet", "resnet50"):
            with TuningLog.open(f"logs/{network}.jsonl") as log:
                log.append(_records(200))
    if page == "docs/tuning_log.md":
        records = _records(20)
        return {"records": records, "task": records[0].task, "device": records[0].device}
    return {}


def _records(count: int) -> list[Any]:
    shipped = Path(cost_models.__file__).parent / "pretrained" / "x86-64-avx512" / "alexnet.jsonl.gz"
    return list(islice(TuningLog.read(shipped).iterate(), count))


def _save_network(path: Path) -> None:
    """A product with a constant matrix, and a ReLU."""
    weights = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
