"""The pages of the service in a real browser: a model from the form to the results, by mouse, keyboard and phone."""

from __future__ import annotations

import itertools
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browser import Window, window
from command_line import run_apart
from playwright.sync_api import Browser, Page, expect
from repository import SUPPORT
from service_process import ServerProcess, running_server
from shelved_model import shelve

from autotune.service.client import Client
from autotune.service.documents import (
    DeviceDocument,
    Examination,
    JobOrder,
    LatencyForecast,
    ModelOrder,
    OperatorCount,
)
from autotune.service.known_devices import KnownDevice, write_known
from autotune.service.service import open_service
from autotune.service.service_folder import ServiceFolder

TOY_WORKER = f"{sys.executable} {SUPPORT / 'toy_worker.py'}"
HERE = KnownDevice(DeviceDocument("local", "local", None, "llvm"), None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose jobs are toys, which knows its device."""
    folder = ServiceFolder(tmp_path_factory.mktemp("site") / "service")
    folder.make()
    write_known(folder.known_devices, (HERE,))
    with running_server(folder.path, TOY_WORKER) as found:
        yield found


@pytest.fixture(scope="module")
def model(server: ServerProcess, small_network: Path) -> str:
    """A model that can be ordered, as if it had been examined."""
    service = open_service(ServiceFolder(server.folder))
    found = shelve(service, small_network.name, small_network.read_bytes())
    forecast = LatencyForecast("local", 0.004, 0.003, 0.006)
    operators = (OperatorCount("Conv", 2), OperatorCount("Relu", 2))
    service.shelf.note(found, Examination(operators, forecasts=(forecast,), is_complete=True))
    return found


def sign_in(page: Page, server: ServerProcess) -> None:
    page.goto(server.url)
    page.get_by_label("Token").fill(server.token)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Models")


def is_fine(seen: Window) -> None:
    expect(seen.page.locator("h1")).to_be_visible()
    assert not seen.is_too_wide, seen.page.url
    assert seen.violations() == [], seen.page.url


def test_a_model_is_uploaded_by_the_form(
    browser: Browser, server: ServerProcess, small_network: Path
) -> None:
    with window(browser) as seen:
        sign_in(seen.page, server)
        seen.page.set_input_files("input[type=file]", str(small_network))
        seen.page.get_by_role("button", name="Upload", exact=True).click()
        expect(seen.page.locator("h1")).to_contain_text("small.onnx")
        expect(seen.page.locator("#summary")).to_contain_text("SHA-256")
        assert seen.complaints == []


def test_a_job_is_ordered_and_followed_to_its_results_on_pages_that_fit(
    browser: Browser, server: ServerProcess, model: str
) -> None:
    with window(browser) as seen:
        sign_in(seen.page, server)
        seen.page.goto(f"{server.url}/models/{model}")
        expect(seen.page.locator("#forecasts")).to_contain_text("3 ms to 6 ms")
        seen.page.locator("[name=time]").fill("soon")
        seen.page.get_by_role("button", name="Queue the job").click()
        expect(seen.page.get_by_role("alert")).to_contain_text("soon")
        seen.page.locator("[name=time]").fill("")
        seen.page.locator("[name=trials]").fill("50")
        seen.page.get_by_role("button", name="Queue the job").click()
        expect(seen.page.locator(".state")).to_have_text("finished", timeout=60_000)
        expect(seen.page.locator("#failed")).to_contain_text("No trial failed")
        expect(seen.page.locator("#time tbody tr").first).to_be_visible()
        with seen.page.expect_download() as download:
            seen.page.get_by_role("link", name="log.jsonl").click()
        assert Path(download.value.path()).stat().st_size > 1000
        seen.page.get_by_role("link", name="Watch the job in detail").click()
        expect(seen.page.get_by_role("heading", name="Is it faster?")).to_be_visible()
        seen.page.get_by_role("link", name="Job", exact=True).click()
        seen.page.get_by_role("button", name="Go on").click()
        expect(seen.page.locator("#summary")).to_contain_text("of 100")
        assert [one for one in seen.complaints if "422" not in one] == []
        job = seen.page.url.partition("/jobs/")[2]
    pages = (
        "/models",
        f"/models/{model}",
        "/jobs",
        f"/jobs/{job}?latency_ms=1",
        f"/jobs/{job}/watch/machine",
    )
    for width, scheme in ((360, "dark"), (1280, "light")):
        with window(browser, width, color_scheme=scheme) as seen:
            seen.page.goto(server.url)
            is_fine(seen)
            sign_in(seen.page, server)
            for path in pages:
                seen.page.goto(f"{server.url}{path}")
                is_fine(seen)
            assert seen.complaints == []


def test_a_job_is_ordered_and_cancelled_without_scripts_and_by_keyboard(
    browser: Browser, server: ServerProcess, model: str
) -> None:
    with window(browser, java_script_enabled=False) as seen:
        page = seen.page
        sign_in(page, server)
        page.locator(f"a[href='/models/{model}']").focus()
        page.keyboard.press("Enter")
        page.locator("[name=trials]").focus()
        page.keyboard.type("100000")
        page.keyboard.press("Enter")
        expect(page.locator("#actions")).to_contain_text("Cancel")
        page.get_by_role("button", name="Cancel").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#summary")).to_contain_text("cancelled", timeout=60_000)
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("h1")).to_have_text("Sign in")
        page.goto(f"{server.url}/jobs")
        expect(page.locator("h1")).to_have_text("Sign in")


@contextmanager
def signed_in(server: ServerProcess, secret: str) -> Iterator[httpx.Client]:
    """A browser without a window, signed in."""
    with httpx.Client(base_url=server.url, timeout=20.0) as found:
        csrf = csrf_of(found, "/sign-in")
        assert found.post("/sign-in", data={"csrf": csrf, "token": secret}).status_code == 303
        yield found


def csrf_of(browser: httpx.Client, path: str) -> str:
    shown = re.search('name="csrf" value="([^"]+)"', browser.get(path).text)
    assert shown
    return shown[1]


def test_events_end_with_a_cancelled_job_and_a_revoked_token(server: ServerProcess, model: str) -> None:
    with Client(server.url, server.token) as client, signed_in(server, server.token) as browser:
        job = client.submit(JobOrder((ModelOrder(model),), trials=100_000)).id
        with browser.stream("GET", f"/jobs/{job}/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: changed"
            client.cancel(job)
            assert "event: over" in list(lines)
        with browser.stream("GET", f"/jobs/{job}/events") as events:
            assert "event: over" in list(events.iter_lines())
        admin = {"Authorization": f"Bearer {server.token}"}
        api = f"{server.url}/api/v1/tokens"
        token = httpx.post(api, json={"name": "short", "scopes": ["read"]}, headers=admin).json()
        with signed_in(server, token["secret"]) as other:
            for path in ("/jobs/events", f"/jobs/{job}/watch/events"):
                with other.stream("GET", path) as events:
                    lines = events.iter_lines()
                    assert next(lines) == "event: changed"
                    if path == "/jobs/events":
                        continue
                    httpx.post(f"{api}/{token['token']['id']}/revoke", headers=admin)
                    assert "event: over" not in list(lines)
            assert other.get("/jobs").status_code == 303


@pytest.mark.long
@pytest.mark.parametrize("kind", ["form", "parts"])
def test_two_gigabytes_are_not_held_in_memory(tmp_path: Path, kind: str) -> None:
    size, part = 2 << 30, 1 << 20
    folder = ServiceFolder(tmp_path / "service")
    folder.make()
    write_known(folder.known_devices, (HERE,))
    with running_server(folder.path, TOY_WORKER) as server, signed_in(server, server.token) as browser:
        head = (
            f'--edge\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf_of(browser, "/models")}\r\n'
        )
        head += '--edge\r\nContent-Disposition: form-data; name="file"; filename="m.onnx"\r\n\r\n'
        tail = b"\r\n--edge--\r\n"
        before = most_bytes(server)
        if kind == "form":
            chunks = itertools.chain([head.encode()], itertools.repeat(bytes(part), size // part), [tail])
            length = len(head.encode()) + size + len(tail)
            headers = {"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": str(length)}
            found = browser.post("/models", content=chunks, headers=headers, timeout=300.0)
            assert found.status_code == 303
        else:
            file = tmp_path / "m.onnx"
            with file.open("wb") as sparse:
                sparse.truncate(size)
            with Client(server.url, server.token) as client:
                assert client.upload(file).bytes == size
        assert most_bytes(server) - before < 100 << 20


def most_bytes(server: ServerProcess) -> int:
    """The most memory that a server has used so far."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return 1024 * int(found[1])


@pytest.mark.long
@pytest.mark.alone
def test_a_day_in_the_browser(browser: Browser, tmp_path: Path, small_network: Path) -> None:
    with running_server(tmp_path / "service") as server, window(browser) as seen:
        page = seen.page
        sign_in(page, server)
        page.set_input_files("input[type=file]", str(small_network))
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.locator(".state")).to_have_text("ready", timeout=60_000)
        expect(page.locator("#operators")).to_contain_text("Conv 2")
        page.locator("[name=time]").fill("")
        page.locator("[name=trials]").fill("16")
        page.locator("[name=latency_ms]").fill("0.000001")
        page.locator("[name=engine]").check()
        page.get_by_role("button", name="Queue the job").click()
        expect(page.locator(".state")).to_have_text("finished", timeout=120_000)
        expect(page.locator("#verdict tbody")).to_contain_text("misses 1e-06 ms by")
        expect(page.locator("#engines tbody")).to_contain_text("onnxruntime")
        page.get_by_role("button", name="Build").click()
        expect(page.locator("#files tbody")).to_contain_text(".whl", timeout=120_000)
        with page.expect_download() as download:
            page.locator("#files tbody a").click()
        wheel = zipfile.ZipFile(download.value.path())
        assert any(name.endswith("METADATA") for name in wheel.namelist())
        job = page.url.partition("/jobs/")[2].partition("#")[0]
        env = {"AUTOTUNE_URL": server.url, "AUTOTUNE_TOKEN": server.token}
        run_apart("remote", "package", job, "--as", "archive", "-o", str(tmp_path / "out"), env=env)
        assert len(list((tmp_path / "out").iterdir())) == 1
        assert seen.complaints == []
