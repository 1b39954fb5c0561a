"""Paths in job files: from the file's folder, whatever they are and wherever the file is read from."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st

from autotune.jobs.job_file import JobRequest, read_job_file
from search_spaces import Misuse

#: What TOML's texts can hold: JSON's escapes are among those of TOML.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=300)
KEYS = ("output", "log", "dashboard", "cost_model", "path")


def read(folder: Path, model: str = "net.onnx", **paths: str) -> JobRequest:
    """A job file with these paths."""
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in paths.items()]
    lines += [
        "budget = { trials = 1 }",
        "[[models]]",
        'name = "net"',
        f"path = {json.dumps(model, ensure_ascii=False)}",
    ]
    (folder / "jobs.toml").write_text("\n".join(lines), encoding="utf-8")
    (folder / "net.onnx").touch()
    return read_job_file(folder / "jobs.toml")


@given(st.sampled_from(KEYS), TEXTS)
@example("output", "a\0b")
@example("log", "n" * 300)
@example("cost_model", "n" * 300)
@example("path", "é" * 200)
@example("dashboard", "sqlite:///a\0b")
def test_any_text_is_a_path_or_refused(key: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        request: JobRequest | None = None
        with suppress(Misuse):
            request = read(Path(name), **({"model": text} if key == "path" else {key: text}))
        if request is None:
            return
        assert "\0" not in f"{request.output}{request.log}{request.dashboard}{request.cost_model}"
        if key == "output":
            assert request.output == Path(name) / text or text.startswith("~/")


def test_paths_lead_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b?#%20"
    folder.mkdir()
    monkeypatch.chdir("/")
    request = read(folder, log="sqlite:///logs/all.db", dashboard="sqlite:///studies.db", output="out")
    assert sqlalchemy.make_url(request.log).database == f"{folder}/logs/all.db"
    assert sqlalchemy.make_url(request.dashboard or "").database == f"{folder}/studies.db"
    assert (request.output, request.models[0].path) == (folder / "out", folder / "net.onnx")
    assert read(folder, output="out").log == f"{folder}/out/log.jsonl"
    assert read(folder, log="postgresql://host/x").log == "postgresql://host/x"


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    request = read(tmp_path, output="~/out", log="~/logs/x.jsonl")
    assert (request.output, request.log) == (tmp_path / "home/out", f"{tmp_path}/home/logs/x.jsonl")
    assert read(tmp_path, output="~out").output == tmp_path / "~out"
