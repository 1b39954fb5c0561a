"""Every command with values that nobody would type on purpose ends in a sentence: no traceback, nothing unforeseen."""

from __future__ import annotations

import os
import random
import re
import unicodedata
from collections.abc import Iterator
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import pytest
from command_line import run_apart, run_here
from hostile_arguments import command_line, commands, make_files

from autotune.cli.crash_report import VARIABLE

_SERVING = ("serve-device", "serve-tracker")
# What is measured or trained where the values happen to fit.
_SLOW = {"doctor": 1, "serve": 4, "devices": 5, "log import": 10, "cost-model collect": 10}
_FAST = 40
_APART = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of the commands, with the files that some values name."""
    path = tmp_path_factory.mktemp("hostile")
    make_files(path)
    with chdir(path):
        yield path


def expect_a_sentence(done: CompletedProcess[str]) -> None:
    """Fails unless a command did its work or told the fault, without anything that a terminal obeys."""
    assert done.returncode in (0, 1, 2)
    assert (done.stdout + done.stderr).strip()
    assert "Traceback" not in done.stderr
    assert "AT002" not in done.stderr
    assert "Warning:" not in done.stderr
    shown = (done.stdout + done.stderr).replace("\n", "")
    assert {unicodedata.category(one) for one in shown}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


def try_here(line: list[str]) -> None:
    """Runs a command in this process, which it does not replace; an unforeseen exception is raised."""
    with (
        mock.patch.object(os, "execv", side_effect=SystemExit(0)),
        mock.patch.object(os, "setpriority"),
        mock.patch("autotune.cli.commands.serve_tracker.serve"),
        mock.patch("uvicorn.Server.run"),
        mock.patch("webbrowser.open"),
        mock.patch("autotune.service.exchange.FIRST_PATIENCE_SECS", 0.0),
    ):
        done = run_here(*line, env={VARIABLE: "1"})
    if line[0] not in _SERVING:  # says nothing before it serves
        expect_a_sentence(done)


def test_no_command_is_left_out() -> None:
    shown = run_here("--help").stdout
    listed = set(re.findall(r"^│ ([a-z-]+) {2,}\S", shown[shown.index("─ Commands ─") :], re.MULTILINE))
    assert listed == {words[0] for words in commands()} and len(listed) > 20


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_takes_or_refuses_any_values(words: tuple[str, ...], folder: Path) -> None:
    source = random.Random(" ".join(words))
    for _ in range(_SLOW.get(" ".join(words), _FAST)):
        try_here(command_line(words, source))


@pytest.mark.long
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_takes_or_refuses_other_values_each_night(words: tuple[str, ...], folder: Path) -> None:
    source = random.Random(f"{words} {datetime.now(UTC).date()}")
    for _ in range(20 * _SLOW.get(" ".join(words), _FAST)):
        try_here(command_line(words, source))


def test_a_process_of_its_own_ends_the_same_way(folder: Path) -> None:
    source = random.Random(0)
    names = [words for words in commands() if " ".join(words) not in (*_SLOW, *_SERVING, "watch")]
    for words in source.sample(names, _APART):
        expect_a_sentence(run_apart(*command_line(words, source)))
