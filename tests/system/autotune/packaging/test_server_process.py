"""The server's process: its options, its signals, and its end; the model is made up."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from repository import ROOT
from server_process import server_process, start

from autotune.packaging.server_modules import server_modules

MODULE = "slow"
INFER = f"/v2/models/{MODULE}/infer"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / MODULE
    (package / "server").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "support" / "slow_package.py", package / "__init__.py")
    for name, text in server_modules().items():
        (package / "server" / name).write_text(text)
    return tmp_path


def sleeping(secs: float) -> dict[str, Any]:
    """A request of a run that takes so long."""
    return {"inputs": [{"name": "secs", "shape": [1], "datatype": "FP64", "data": [secs]}]}


def in_background(url: str, secs: float) -> tuple[threading.Thread, list[int]]:
    """A request of a slow run, whose run has begun, and its status once the thread has ended."""
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(httpx.post(url + INFER, json=sleeping(secs), timeout=60).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    while 'inference_instances_busy{model="slow"} 1.0' not in httpx.get(f"{url}/metrics").text:
        time.sleep(0.01)
    return thread, statuses


def test_a_stop_takes_readiness_away_first_and_lets_requests_finish(folder: Path) -> None:
    with server_process(sys.executable, MODULE, folder, "--drain-secs", "3") as server:
        thread, statuses = in_background(server.url, 4)
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
        server.signal()
        while httpx.get(f"{server.url}/v2/health/ready").status_code == 200:
            time.sleep(0.01)
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        code, log = server.ended()
        thread.join()
        assert statuses == [200]
        assert code == 0, log
        assert "Traceback" not in log


def test_a_request_that_outlasts_the_stop_is_cut_off(folder: Path) -> None:
    with server_process(sys.executable, MODULE, folder, "--shutdown-secs", "1") as server:
        started = time.monotonic()
        thread, statuses = in_background(server.url, 30)
        server.signal()
        code, log = server.ended()
        assert (code, time.monotonic() - started < 25) == (1, True)
        assert log.splitlines()[-1] == (
            "error: expected running requests to finish in time; they were cut off"
        )
        assert "Traceback" not in log
        thread.join()
        assert statuses == [503]


def test_inputs_that_the_model_refuses_are_the_clients_fault(folder: Path) -> None:
    with server_process(sys.executable, MODULE, folder, "--instances", "2") as server:
        response = httpx.post(server.url + INFER, json=sleeping(-1))
        assert (response.status_code, response.json()) == (
            400,
            {"error": "expected a time from 0 on; found another"},
        )
        assert 'inference_instances{model="slow"} 2.0' in httpx.get(f"{server.url}/metrics").text


def test_connections_beyond_the_limit_are_refused(folder: Path) -> None:
    with (
        server_process(sys.executable, MODULE, folder, "--connections", "1") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        assert client.get("/v2/health/ready").status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 503
        assert client.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--threads", "0"), 2, "expected a whole number from 1 to 1024; found '0'"),
        (("--timeout-secs", "nan"), 2, "expected a number from 0 on; found 'nan'"),
        (("--host", "203.0.113.1"), 3, "could not bind|cannot assign|error while attempting to bind"),
    ],
)
def test_wrong_options_are_one_sentence(folder: Path, options: tuple[str, ...], code: int, text: str) -> None:
    with start(sys.executable, MODULE, folder, subprocess.PIPE, *options) as process:  # type: ignore[arg-type]
        _, log = process.communicate(timeout=60)
    assert process.returncode == code, log
    assert any(each in log for each in text.split("|")), log
    assert "Traceback" not in log
