"""Commands on the folder of a job that was moved to a place of any name, or is read through a link, from elsewhere."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from command_line import run_here
from msgspec.structs import replace
from onnx import helper, numpy_helper
from read_only_tree import run_read_only
from starlette.testclient import TestClient

from autotune.jobs.status_file import read_status, write_status
from autotune.service.watch.application import make_application
from autotune.service.watch.job_place import find_job
from autotune.service.watch.job_reader import JobReader
from autotune.testing.toy_job import run_toy_job

PIECES = (
    " ", "a b", "ünïcode", "日本", "e\u0301", "[x]", "[/red]", "{0}", "%s", "%20", "#", "?", "&", ";", "$HOME", "~",
    "-o", "*", "'", '"', "\\", "\n", "\t", "..x", "\udce9", "\U0001f600", "\u202e", "<b>", ":", "=", ",", "@", "n" * 60,
)  # fmt: skip
QUICK, PLACES = 4, 8


def hostile_name(number: int) -> str:
    """A name of a folder, of three pieces that file systems take and others may not."""
    return "".join(random.Random(number).choices(PIECES, k=3))


@contextmanager
def elsewhere(night: Path, folder: Path, number: int) -> Iterator[Path]:
    """A copy of a folder under another name, every second time through a link, with `/` as the working directory."""
    place = folder / hostile_name(number) / "deep"
    shutil.copytree(night, place)
    if number % 2 == 0:
        (folder / "link").symlink_to(place.parent)
        place = folder / "link" / "deep"
    with chdir("/"):
        yield place


@pytest.fixture(scope="module")
def toy_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy job that has ended, in `out`."""
    folder = tmp_path_factory.mktemp("first place")
    run_toy_job(folder / "out", 8, 0.0)
    status = read_status(folder / "out")
    assert status is not None
    # A report compares with it by the programs of tasks, which a toy's are not.
    devices = tuple(replace(one, roofline=None) for one in status.devices)
    write_status(folder / "out", replace(status, devices=devices))
    return folder


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that has ended: its file, its model, and what it left in `out`."""
    folder = tmp_path_factory.mktemp("first place")
    graph = onnx.parser.parse_graph("g (float[4,8] x) => (float[4,8] y) { h = MatMul(x, w) y = Relu(h) }")
    weight = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "jobs.toml").write_text(
        'output = "out"\nbudget = { trials = 2 }\nsampler = "random"\ncost_model = "none"\n'
        '[[models]]\npath = "net.onnx"\ndevices = ["local?threads=1"]\n'
    )
    done = run_here("run", folder / "jobs.toml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", range(QUICK))
def test_a_job_is_shown_wherever_it_lies(number: int, toy_night: Path, tmp_path: Path) -> None:
    with elsewhere(toy_night, tmp_path, number) as place:
        for arguments in (("status", place / "out"), ("report", place / "out", "-o", tmp_path / "page.html")):
            done = run_here(*arguments)
            assert done.returncode == 0, done.stderr
            assert not done.stderr and str(toy_night) not in done.stdout
        page = (tmp_path / "page.html").read_text("utf-8")
        assert "autotune log best" in page and str(toy_night) not in page
        reader = JobReader(find_job(place / "out"))
        with TestClient(make_application(reader), "http://127.0.0.1:80") as client:
            for path in ("/", "/operators", "/operators/0-0", "/failures", "/machine"):
                found = client.get(path)
                assert found.status_code == 200, path
                assert str(toy_night) not in found.text


@pytest.mark.long
@pytest.mark.parametrize("number", range(PLACES))
def test_a_job_serves_builds_wherever_it_lies(number: int, night: Path, tmp_path: Path) -> None:
    with elsewhere(night, tmp_path, number) as place:
        status = json.loads(run_here("status", place / "out", "--json").stdout)
        library = Path(status["models"][0]["library"])
        assert library.is_file() and library.parent == place / "out"
        log, device = place / "out" / "log.jsonl", ("--device", "local?threads=1")
        for arguments in (
            ("report", place / "out", "-o", tmp_path / "page.html"),
            ("rerun", log, status["tasks"][0]["key"], *device),
            ("build", place / "net.onnx", "--log", log, "-o", place / "again.so", *device),
            ("package", place / "net.onnx", "--log", log, "-o", place / "package", "--as", "wheel", *device),
            ("run", place / "jobs.toml", "--dry-run"),
        ):
            done = run_here(*arguments)
            assert done.returncode == 0, done.stderr
            assert str(night) not in done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("command", ["status", "report", "rerun", "build"])
def test_a_folder_that_cannot_be_written_to(command: str, night: Path, tmp_path: Path) -> None:
    status = read_status(night / "out")
    assert status is not None
    arguments = {
        "status": (night / "out",),
        "report": (night / "out", "-o", tmp_path / "page.html"),
        "rerun": (night / "out" / "log.jsonl", status.tasks[0].key, "--device", "local?threads=1"),
        "build": (night / "net.onnx", "--log", night / "out" / "log.jsonl", "-o", tmp_path / "again.so"),
    }
    done = run_read_only(tmp_path, command, *arguments[command], TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
