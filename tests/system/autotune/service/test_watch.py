"""`autotune watch` in a real browser: while a job runs, after it ended or was killed, whatever is missing."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import window
from literal_texts import literal_status
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from autotune.jobs.status import JobState
from autotune.jobs.status_file import read_status, write_status
from autotune.testing.records import make_record
from autotune.testing.toy_job import run_toy_job
from search_spaces import Config, Target, TuningTask, Workload
from tuning_logs import Failure, FailureKind, Timing, TuningLog, TuningRecord

PAGES = ("", "operators", "operators/0-0", "failures", "machine")
EVIL = "<img src=x onerror=alert(1)>\u202eevil</section>" + "x" * 300


@contextmanager
def watching(place: Path) -> Iterator[str]:
    """The address of the pages of a job, served by a process of its own."""
    command = [sys.executable, "-m", "autotune.cli.main", "watch", str(place), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    try:
        assert found, line + process.stdout.read()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0, rest
    assert "Traceback" not in rest, rest


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy job that has ended."""
    folder = tmp_path_factory.mktemp("job")
    run_toy_job(folder, 200, 0.0)
    return folder


@pytest.fixture(scope="module")
def address(finished: Path) -> Iterator[str]:
    """The address of the pages of that job."""
    with watching(finished) as found:
        yield found


def trial(number: int, secs: float | None, name: str = "matmul") -> TuningRecord:
    """A record of a task with a config of its own; None for a trial that failed."""
    task = TuningTask(Workload("ab" * 16, name, "no module", 1e9), Target.parse("llvm -mcpu=znver4"), 2)
    config = Config((("sketch", f"sketch-{number % 2}"), ("tile-0", (number + 1, 4))))
    measured = (
        Timing((secs, 1.01 * secs), 0.1) if secs else Failure(FailureKind.RUN_ERROR, f"boom {name}", 0.1)
    )
    return dataclasses.replace(make_record(number, measurement=measured), task=task, config=config)


def write_log(path: Path, count: int, name: str = "matmul") -> None:
    with TuningLog.open(path) as log:
        log.append([trial(n, None if n % 5 == 4 else 0.01 / (n + 1), name) for n in range(count)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_and_complains_of_nothing(
    browser: Browser, address: str, width: int, scheme: str
) -> None:
    with window(browser, width, color_scheme=scheme) as seen:
        for path in PAGES:
            answer = seen.page.goto(address + path)
            assert answer is not None and answer.ok, path
            expect(seen.page.locator("h1")).to_be_visible()
            assert not seen.is_too_wide, path
            assert seen.violations() == [], path
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
        assert seen.complaints == []


def test_the_pages_answer_what_people_ask(browser: Browser, address: str) -> None:
    with window(browser) as seen:
        seen.page.goto(address)
        expect(seen.page.locator(".state")).to_have_text("finished")
        for heading in (
            "Is it faster?",
            "Which operators hold the time?",
            "Did it converge?",
            "What failed?",
        ):
            expect(seen.page.get_by_role("heading", name=heading)).to_be_visible()
        expect(seen.page.locator("#faster")).to_contain_text("times as fast")
        expect(seen.page.locator("#convergence svg.chart")).to_have_count(2)
        seen.page.get_by_role("link", name="toy_1024").click()
        expect(seen.page.locator("#winner")).to_contain_text("The next config is")
        expect(seen.page.locator("#why tbody tr")).to_have_count(4)
        expect(seen.page.locator("#again code")).to_contain_text("autotune rerun")
        expect(seen.page.locator("#space")).to_contain_text("cannot be counted", timeout=30_000)


def test_a_page_follows_the_log_without_a_jump_or_a_reload(browser: Browser, tmp_path: Path) -> None:
    write_log(tmp_path / "log.jsonl", 20)
    with watching(tmp_path) as address, window(browser) as seen:
        seen.page.goto(address)
        expect(seen.page.locator("#live")).to_have_text("live")
        expect(seen.page.locator("#summary")).to_contain_text("20 records in the log")
        seen.page.evaluate("window.isSame = true; window.shift = 0")
        seen.page.get_by_role("link", name="matmul").focus()
        with TuningLog.open(tmp_path / "log.jsonl") as log:
            log.append([trial(n, 0.01 / (n + 1)) for n in range(20, 30)])
        expect(seen.page.locator("#summary")).to_contain_text("30 records in the log")
        assert seen.page.evaluate("window.isSame")
        assert seen.page.evaluate("document.activeElement.textContent") == "matmul"
        assert seen.page.evaluate("window.shift") < 0.01
        assert seen.complaints == []


def test_a_log_that_is_replaced_or_damaged_is_read_anew(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write_log(path, 20)
    with watching(path) as address, window(browser) as seen:
        seen.page.goto(address)
        expect(seen.page.locator("#summary")).to_contain_text("20 records in the log")
        write_log(tmp_path / "other.jsonl", 7)
        lines = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
        (tmp_path / "new").write_bytes(
            b"".join([*lines[:-1], b'{"schema":"1.0","kind":"rec\n', lines[-1][:40]])
        )
        os.replace(tmp_path / "new", path)
        expect(seen.page.locator("#summary")).to_contain_text("6 records in the log")
        expect(seen.page.locator(".warning")).to_contain_text("1 lines of the log cannot be read")
        seen.page.goto(address + "failures")
        expect(seen.page.locator("#damage li")).to_have_count(1)


def test_a_killed_job_is_told_from_one_that_runs(browser: Browser, finished: Path, tmp_path: Path) -> None:
    status = read_status(finished)
    assert status is not None
    child = subprocess.Popen(["true"])
    child.wait()
    [run] = status.runs
    runs = (replace(run, pid=child.pid, state=JobState.RUNNING),)
    write_status(
        tmp_path, replace(status, state=JobState.RUNNING, runs=runs, log=str(finished / "log.jsonl"))
    )
    with watching(tmp_path) as address, window(browser) as seen:
        seen.page.goto(address)
        expect(seen.page.locator(".state")).to_have_text("killed")
        runs = (replace(run, pid=os.getpid(), state=JobState.RUNNING),)
        write_status(
            tmp_path, replace(status, state=JobState.RUNNING, runs=runs, log=str(finished / "log.jsonl"))
        )
        expect(seen.page.locator(".state")).to_have_text("running")
        (tmp_path / "status.json").write_text("{")
        expect(seen.page.locator(".warning").first).to_contain_text("expected the status of a job")
        assert seen.complaints == []


def test_names_from_hostile_models_are_shown_and_not_obeyed(browser: Browser, tmp_path: Path) -> None:
    write_log(tmp_path / "log.jsonl", 12, EVIL)
    write_status(tmp_path / "job", replace(literal_status(EVIL), log=str(tmp_path / "log.jsonl")))
    for place in (tmp_path, tmp_path / "job"):
        with watching(place) as address, window(browser, 360) as seen:
            for path in PAGES:
                seen.page.goto(address + path)
                assert not seen.is_too_wide, path
                assert seen.page.locator("main img").count() == 0
                assert "\u202e" not in seen.page.content()
                assert seen.violations() == []
            seen.page.goto(address)
            expect(seen.page.locator("#time")).to_contain_text(
                "<img src=x onerror=alert(1)>\\u202eevil</section>"
            )
            assert [one for one in seen.complaints if "404" not in one] == []


def test_the_pages_are_used_by_keyboard(browser: Browser, address: str) -> None:
    with window(browser) as seen:
        seen.page.goto(address)
        press(seen.page, "Tab", "Skip to the content")
        for name in ("Overview", "Operators"):
            press(seen.page, "Tab", name)
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("h1")).to_have_text("Operators")
        press(seen.page, "Tab", "Skip to the content")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("main")).to_be_focused()
        seen.page.keyboard.press("Tab")
        expect(seen.page.locator(".scroll").first).to_be_focused()
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("#again")).to_be_visible()


def test_commands_are_copied(browser: Browser, address: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with window(browser, permissions=permissions) as seen:
        seen.page.goto(address + "operators/0-0")
        seen.page.get_by_role("button", name="Copy").click()
        expect(seen.page.locator("#again button")).to_have_text("Copied")
        assert "autotune rerun" in seen.page.evaluate("navigator.clipboard.readText()")


def press(page: Page, key: str, name: str) -> None:
    """Presses a key, and expects the focus on a link of that name."""
    page.keyboard.press(key)
    expect(page.locator("*:focus")).to_have_text(name)
