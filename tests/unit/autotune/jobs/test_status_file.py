"""The status file of a job: its folder may be called anything, moved, and read from anywhere."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from literal_texts import literal_status
from msgspec.structs import replace

from autotune.jobs.status import JobStatus, Latency
from autotune.jobs.status_file import read_status, write_status
from search_spaces import AutotuneError

# Whatever a file system takes: bytes but NUL and the slash, UTF-8 or not.
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.binary(min_size=1, max_size=20).map(os.fsdecode),
).filter(lambda name: name not in (".", "..") and "/" not in name and "\0" not in name)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        yield Path(folder)


def job_status(log: str, model: str, library: str | None = None) -> JobStatus:
    status = literal_status()
    [one] = status.models
    return replace(status, log=log, models=(replace(one, path=model, library=library),))


def places(folder: Path) -> list[str]:
    """What the files hold that a folder's status leads to."""
    status = read_status(folder)
    assert status is not None
    [model] = status.models
    return [os.fsdecode(Path(path or "").read_bytes()) for path in (status.log, model.path, model.library)]


def write_job(folder: Path, log: Path, model: Path) -> None:
    """Writes three files and the status of a job that names them."""
    library = folder / "net.so"
    for path in (log, model, library):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path.name))
    write_status(folder, job_status(str(log), str(model), str(library)))


@given(NAMES, NAMES, NAMES, st.booleans())
@example("-o", "~", "a b%20[x]#?.jsonl", True)
@example("x\ny", "caf\udce9", "ä\udcff", False)
def test_a_project_is_moved_and_read_from_anywhere(
    project: str, job: str, log: str, is_absolute: bool
) -> None:
    assume(len({log, "net.so", "net.onnx", "status.json"}) == 4 and not log.startswith(".status"))
    assume(job != "net.onnx" and len(os.fsencode(project)) < 200)
    with scratch() as folder:
        Path(project).mkdir()
        with working_in(Path(project)):
            start = Path.cwd() if is_absolute else Path()
            write_job(start / job, start / job / log, start / "net.onnx")
            expected = places(Path(job))
        assert expected == [log, "net.onnx", "net.so"]
        assert places(Path(project) / job) == places(folder / project / job) == expected
        os.rename(project, "elsewhere")
        assert places(Path("elsewhere") / job) == places(folder / "elsewhere" / job) == expected


@given(NAMES, NAMES)
def test_a_log_beside_the_folder_is_found_through_links(job: str, link: str) -> None:
    assume(job not in (link, "logs") and link not in ("logs", "deep") and job != "deep")
    with scratch():
        Path("deep").mkdir()
        with working_in(Path("deep")):
            Path(job).mkdir()
        os.symlink(os.path.join("deep", job), link)
        write_job(Path(link), Path("logs") / "log.jsonl", Path("net.onnx"))
        expected = ["log.jsonl", "net.onnx", "net.so"]
        assert places(Path(link)) == places(Path("deep") / job) == expected
        # As the next run of the job does.
        found = read_status(Path(link))
        assert found is not None
        write_status(Path(link), found)
        assert places(Path(link)) == places(Path("deep") / job) == expected


def test_names_that_begin_with_dots_are_inside_the_folder() -> None:
    with scratch():
        write_job(Path("out"), Path("out/..x/log.jsonl"), Path("out/.../net.onnx"))
        os.rename("out", "moved")
        assert places(Path("moved")) == ["log.jsonl", "net.onnx", "net.so"]


def test_a_folder_called_like_the_home_is_not_taken_for_it() -> None:
    with scratch():
        write_job(Path("out"), Path("out/~/log.jsonl"), Path("out/~/net.onnx"))
        assert places(Path("out")) == ["log.jsonl", "net.onnx", "net.so"]


def test_the_file_holds_paths_from_its_folder(tmp_path: Path) -> None:
    write_job(tmp_path / "out", tmp_path / "out" / "log.jsonl", tmp_path / "net.onnx")
    kept = json.loads((tmp_path / "out" / "status.json").read_text())
    assert (kept["schema"], kept["log"]) == (2, "log.jsonl")
    assert (kept["models"][0]["path"], kept["models"][0]["library"]) == ("../net.onnx", "net.so")


@pytest.mark.parametrize("url", ["sqlite:///{}/my%20log.db?timeout=5", "postgresql://ann@host/tuning"])
def test_databases_are_found_from_anywhere(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    write_status(Path("out"), job_status(url.format("out"), "net.onnx"))
    monkeypatch.chdir("/")
    found = read_status(tmp_path / "out")
    assert found is not None and found.log == url.format(f"{tmp_path}/out")


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("start", ["", "/"])
def test_paths_of_the_first_schema_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_moved: bool, start: str
) -> None:
    """Paths were those of the command line, from the directory in which it was run."""
    project = tmp_path / "project"
    for path in ("night/out/log.jsonl", "night/out/net.so", "net.onnx"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(Path(path).name)
    root = f"{project}/" if start else ""
    old = job_status(f"{root}night/out/log.jsonl", f"{root}net.onnx", f"{root}night/out/net.so")
    write_status(project / "night" / "out", old)
    text = (project / "night" / "out" / "status.json").read_text()
    kept = json.loads(text) | {"schema": 1, "log": old.log}
    kept["models"][0] |= {"path": old.models[0].path, "library": old.models[0].library}
    (project / "night" / "out" / "status.json").write_text(json.dumps(kept))
    expected = ["log.jsonl", "net.onnx", "net.so"]
    monkeypatch.chdir("/")
    assert places(project / "night" / "out") == expected
    if is_moved:
        shutil.move(project / "night" / "out", tmp_path / "copied")
        (tmp_path / "net.onnx").write_text("net.onnx")
        status = read_status(tmp_path / "copied")
        assert status is not None
        assert Path(status.log).read_text() == "log.jsonl"
        assert Path(status.models[0].library or "").read_text() == "net.so"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"null", b"\xff\xfe{}", b'{"name":"\xff"}'),
        *(b'{"x":' + b"[" * 100_000, b"9" * 10_000, b'{"schema":1e400}'),
    ],
    ids=["empty", "list", "null", "utf-16", "no utf-8", "deep", "digits", "infinite"],
)  # fmt: skip
def test_what_is_no_status_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(AutotuneError, match=r"expected the status of a job.*status\.json"):
        read_status(tmp_path)


@pytest.mark.parametrize("secs", ["0", "0.0", "-1e-3"])
def test_latencies_that_nothing_can_have_are_refused(tmp_path: Path, secs: str) -> None:
    latency = Latency(0.125, 0.125, 0.125, (0.125,))
    status = job_status("log.jsonl", "net.onnx")
    write_status(tmp_path, replace(status, models=(replace(status.models[0], before=latency),)))
    path = tmp_path / "status.json"
    assert read_status(tmp_path) is not None
    path.write_text(path.read_text().replace("0.125", secs))
    with pytest.raises(AutotuneError, match="expected the status of a job"):
        read_status(tmp_path)
