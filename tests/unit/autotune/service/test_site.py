"""The pages of the service in this process: signing in, forms, and what hostile browsers and files get."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from literal_texts import literal_status
from msgspec.structs import replace as replaced
from starlette.testclient import TestClient

from autotune.jobs.device_choice import compare_devices
from autotune.jobs.status_file import write_status
from autotune.service.application import make_application
from autotune.service.bookings import BookingDocument
from autotune.service.documents import (
    DeviceDocument,
    Examination,
    LatencyForecast,
    OperatorCount,
    Refusal,
    UnsupportedOperator,
)
from autotune.service.known_devices import KnownDevice
from autotune.service.limits import ServiceLimits
from autotune.service.service import Access, Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.site.sign_in import own_path
from autotune.service.token_documents import Scope

HERE = KnownDevice(DeviceDocument("local", "local", None, "llvm"), {})
HOSTILE = '<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\u202e/../../é".onnx'
ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    limits = ServiceLimits(upload_bytes=100_000)
    return open_service(ServiceFolder(tmp_path / "service"), limits=limits, devices=lambda: (HERE,))


def browse(service: Service, *scopes: Scope) -> TestClient:
    """A browser, signed in with a token of these scopes where there are any."""
    app = make_application(service)
    browser = TestClient(app, ORIGIN, client=("127.0.0.1", 5), headers={"Sec-Fetch-Site": "same-origin"})
    if scopes:
        secret = service.tokens.create("test", scopes).secret
        found = send(browser, "/sign-in", "/sign-in", token=secret)
        assert found.status_code == 200, found.text
    return browser


@pytest.fixture
def browser(service: Service) -> TestClient:
    return browse(service, Scope.READ, Scope.SUBMIT)


def fields(text: str) -> dict[str, str]:
    """The hidden fields of a page."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))


def send(browser: TestClient, page: str, action: str, **values: object):  # type: ignore[no-untyped-def]
    """Sends a form of a page, with its hidden fields."""
    shown = browser.get(page)
    return browser.post(action, data={**fields(shown.text), **values})


def upload(browser: TestClient, name: str = "m.onnx", data: bytes = b"model") -> str:
    """Uploads a file by the form; returns the id of the model."""
    csrf = fields(browser.get("/models").text)["csrf"]
    found = browser.post("/models", data={"csrf": csrf}, files={"file": (name, data)}, follow_redirects=False)
    assert found.status_code == 303, found.text
    return str(found.headers["location"]).rsplit("/", 1)[1]


def ready(service: Service, browser: TestClient, name: str = "m.onnx") -> str:
    model = upload(browser, name)
    forecasts = (
        LatencyForecast("local", 0.004, 0.003, 0.006),
        LatencyForecast("board", refusal=Refusal("AT1", name)),
    )
    service.shelf.note(
        model,
        Examination(
            (OperatorCount(name, 3),),
            (UnsupportedOperator(name, (name,)),),
            forecasts=forecasts,
            notices=(name,),
            is_complete=True,
        ),
    )
    return model


def ordered(service: Service, browser: TestClient, **values: object) -> str:
    """Orders a job by the form; returns its id."""
    model = ready(service, browser)
    found = send(
        browser, f"/models/{model}", "/jobs", **{"device": "local", "trials": "5", "time": "", **values}
    )
    assert found.status_code == 200, found.text
    return str(found.url).rsplit("/", 1)[1]


def test_nobody_sees_anything_before_signing_in(service: Service) -> None:
    browser = browse(service)
    for path in (
        "/models",
        "/jobs",
        "/bookings",
        "/order",
        "/jobs/0123456789ab",
        "/jobs/0123456789ab/watch/",
    ):
        found = browser.get(path, follow_redirects=False)
        assert found.status_code == 303
        assert found.headers["location"].startswith("/sign-in?next=/")
    csrf = fields(browser.get("/sign-in").text)["csrf"]
    assert browser.post("/jobs", data={"csrf": csrf}).status_code == 401
    assert send(browser, "/sign-in", "/sign-in", token="at_0123456789_" + "A" * 43).status_code == 401


def test_the_page_of_bookings_shows_names_as_text(service: Service) -> None:
    booked = BookingDocument("pi4", "10.0.0.4/pi4-0", "<b>me</b>:1", 5.0, 55.0, ("other:2",))
    browser = browse(replace(service, bookings=lambda: (booked,)), Scope.READ)
    text = browser.get("/bookings").text
    assert "&lt;b&gt;me&lt;/b&gt;:1" in text and "other:2" in text and "<b>" not in text
    assert "share no devices" in browse(service, Scope.READ).get("/bookings").text


def test_a_session_is_a_new_cookie_out_of_reach_of_scripts_and_of_the_store(service: Service) -> None:
    browser = browse(service)
    secret = service.tokens.create("test", [Scope.READ]).secret
    page = browser.get("/sign-in?next=/jobs")
    before = browser.cookies["autotune_session"]
    found = browser.post("/sign-in", data={**fields(page.text), "token": secret}, follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/jobs")
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie
    after = browser.cookies["autotune_session"]
    assert after != before
    stored = b"".join(path.read_bytes() for path in service.folder.path.glob("service.db*"))
    assert after.encode() not in stored
    assert browser.get("/jobs").status_code == 200
    assert send(browser, "/jobs", "/sign-out").url.path == "/sign-in"
    browser.cookies.set("autotune_session", after)
    assert browser.get("/jobs", follow_redirects=False).status_code == 303


def test_a_cookie_is_kept_from_plain_http_behind_tls(service: Service) -> None:
    found = browse(service).get("/sign-in", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in found.headers["set-cookie"]


def test_a_revoked_token_ends_its_sessions(service: Service, browser: TestClient) -> None:
    [token] = service.tokens.all()
    service.tokens.revoke(token.id)
    assert browser.get("/jobs", follow_redirects=False).status_code == 303


def test_anonymous_visitors_come_from_loopback_only_if_asked_for(tmp_path: Path) -> None:
    open_one = open_service(ServiceFolder(tmp_path / "s"), access=Access(allows_anonymous=True))
    assert browse(open_one).get("/models", follow_redirects=False).status_code == 200
    far = TestClient(make_application(open_one), ORIGIN, client=("10.0.0.1", 5))
    assert far.get("/models", follow_redirects=False).status_code == 303


def test_forms_of_others_are_refused(service: Service, browser: TestClient) -> None:
    job = ordered(service, browser)
    foreign = fields(browse(service).get("/sign-in").text)["csrf"]
    for action in ("/jobs", "/sign-in", "/sign-out", f"/jobs/{job}/cancel", f"/jobs/{job}/again"):
        for data in ({}, {"csrf": ""}, {"csrf": "é"}, {"csrf": foreign}):
            found = browser.post(action, data=data)
            assert (found.status_code, "AT745" in found.text) == (403, True), (action, data)
    assert service.queue.waiting() == 1


def test_files_of_foreign_forms_are_refused_and_not_kept(service: Service, browser: TestClient) -> None:
    for data in ({}, {"csrf": "0" * 64}):
        found = browser.post("/models", data=data, files={"file": ("m.onnx", b"x")})
        assert found.status_code == 403
    other = browse(service, Scope.READ, Scope.SUBMIT)
    csrf = fields(other.get("/models").text)["csrf"]
    assert browser.post("/models", data={"csrf": csrf}, files={"file": ("m", b"x")}).status_code == 403
    assert service.shelf.page(10) == ()
    assert list(service.folder.uploads.iterdir()) == []


def test_readers_get_no_forms(service: Service) -> None:
    reader = browse(service, Scope.READ)
    assert 'type="file"' not in reader.get("/models").text
    csrf = fields(reader.get("/models").text)["csrf"]
    for action in ("/jobs", "/jobs/0123456789ab/cancel"):
        assert reader.post(action, data={"csrf": csrf}).status_code == 403


def test_unfit_files_are_refused_and_not_kept(service: Service, browser: TestClient) -> None:
    csrf = fields(browser.get("/models").text)["csrf"]
    for files, status in (
        ([("file", ("m.onnx", b""))], 422),
        ([("file", ("m.onnx", b"x" * 100_001))], 413),
        ([("file", ("m.onnx", b"x" * 300_000))], 413),
        ([("file", ("a", b"x")), ("file", ("b", b"x"))], 422),
        ([("other", (None, b"x"))], 422),
        ([("other", (None, b"x" * 5000))], 422),
        ([("other", (None, b"x"))] * 20, 422),
    ):
        found = browser.post("/models", data={"csrf": csrf}, files=files)
        assert found.status_code == status, found.text
        assert list(service.folder.uploads.iterdir()) == []
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "text/plain",
        "multipart/form-data; boundary=a",
    ):
        assert (
            browser.post("/models", content=b"no form", headers={"Content-Type": kind}).status_code == 422
        ), kind
    assert service.shelf.page(10) == ()


def test_a_file_arrives_byte_by_byte(service: Service, browser: TestClient) -> None:
    csrf = fields(browser.get("/models").text)["csrf"]
    data = bytes(range(256)) + b"\r\n--edge-\r\n" * 3
    body = (
        (
            f'--edge\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf}\r\n'
            '--edge\r\nContent-Disposition: form-data; name="file"; filename="m.onnx"\r\n\r\n'
        ).encode()
        + data
        + b"\r\n--edge--\r\n"
    )
    found = browser.post(
        "/models",
        content=(body[place : place + 1] for place in range(len(body))),
        headers={"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": str(len(body))},
        follow_redirects=False,
    )
    model = found.headers["location"].rsplit("/", 1)[1]
    assert service.shelf.path(model).read_bytes() == data


def test_a_model_is_ordered_by_its_page(service: Service, browser: TestClient) -> None:
    job = ordered(service, browser, latency_ms="5", more_devices="local?threads=1")
    found = service.jobs.get(job)
    assert found.order.devices == ("local", "local?threads=1")
    assert (found.order.trials, found.order.models[0].needs.latency_ms) == (5, 5.0)
    page = browser.get(f"/jobs/{job}").text
    assert "Place in the queue" in page and "Expected start" in page
    cancelled = send(browser, f"/jobs/{job}", f"/jobs/{job}/cancel")
    assert ">cancelled<" in cancelled.text
    again = send(browser, f"/jobs/{job}", f"/jobs/{job}/again", trials="7")
    assert ">queued<" in again.text
    assert service.jobs.get(job).order.trials == 12
    assert "m.onnx" in browser.get("/jobs").text


def test_a_form_that_is_sent_twice_makes_one_job(service: Service, browser: TestClient) -> None:
    model = ready(service, browser)
    form = {**fields(browser.get(f"/models/{model}").text), "device": "local", "trials": "5"}
    first, second = (browser.post("/jobs", data=form).url for _ in range(2))
    assert first == second


def test_a_refused_order_shows_the_form_and_the_reason(service: Service, browser: TestClient) -> None:
    model = ready(service, browser)
    for values in (
        {"trials": "many"},
        {"trials": ""},
        {"latency_ms": "-1"},
        {"latency_ms": "nan"},
        {"dims": "batch"},
        {"more_devices": "rpc://10.0.0.1:9190/x"},
        {"time": "soon"},
        {"model": "0123456789ab"},
        {"engine": "no such engine"},
    ):
        sent = {"device": "local", "trials": "5", "name": "my <job>", **values}
        found = send(browser, f"/models/{model}", "/jobs", **sent)
        assert found.status_code == 422, values
        assert 'role="alert"' in found.text
        assert 'value="my &lt;job&gt;"' in found.text
    assert service.queue.waiting() == 0


class _Tags(HTMLParser):
    """The tags of a page with event handlers or of kinds that run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own_script = tag == "script" and ("src", "/static/pages.js") in attrs
        if (tag in ("script", "img", "iframe", "style") and not own_script) or any(
            name.startswith("on") or name == "style" for name, _ in attrs
        ):
            self.found.append(tag)


def test_hostile_names_are_shown_and_not_obeyed(service: Service, browser: TestClient) -> None:
    model = ready(service, browser, HOSTILE)
    found = send(browser, f"/models/{model}", "/jobs", device="local", trials="5", name=HOSTILE)
    job = str(found.url).rsplit("/", 1)[1]
    status = literal_status(HOSTILE)
    write_status(service.folder.output(job), status)
    for path in (
        "/models", f"/models/{model}", f"/order?model={model}", "/jobs", f"/jobs/{job}", f"/jobs/{job}?latency_ms=<b>",
        f"/jobs/{job}/watch/", f"/jobs/{job}/watch/machine", "/jobs/<img src=x>", "/nowhere/<script>",
    ):  # fmt: skip
        found = browser.get(path)
        tags = _Tags()
        tags.feed(found.text)
        assert tags.found == [], path
        assert "\u202e" not in found.text and "onerror=alert(1)>" not in found.text, path
        assert "a" not in browser.cookies, path
        assert "'none'" in found.headers["content-security-policy"]


def test_limits_and_prices_are_supposed_without_measuring(service: Service, browser: TestClient) -> None:
    job = ordered(service, browser)
    status = literal_status("x")
    models = (replaced(status.models[0], name="m"),)
    offers = tuple(compare_devices(models, status.devices))
    write_status(service.folder.output(job), replaced(status, models=models, offers=offers))
    assert "chosen" in browser.get(f"/jobs/{job}").text
    found = browser.get(f"/jobs/{job}", params={"latency_ms": "5"}).text
    assert "misses 5 ms by 6: 11" in found
    found = browser.get(f"/jobs/{job}", params={"price:device x": "3.6", "dollars_per_million": "9"}).text
    assert "misses 9 dollars per million by 1: 10" in found
    assert "positive number" in browser.get(f"/jobs/{job}", params={"latency_ms": "x"}).text


def test_paths_stay_inside_a_job(service: Service, browser: TestClient) -> None:
    job = ordered(service, browser)
    write_status(service.folder.output(job), literal_status("x"))
    names = (
        "..%2F..%2Fjobs.toml",
        "jobs.toml",
        "%2Fetc%2Fpasswd",
        "a%0d%0aSet-Cookie:x=y",
        "..%5C..%5Cservice.db",
    )
    paths = [f"/jobs/{job}/files/{name}" for name in names]
    paths += [
        f"/jobs/{job}/watch/../../../etc/passwd",
        f"/jobs/{job}/watch/operators/..%2f..",
        "/jobs/..%2F..%2F/watch/",
    ]
    for path in (*paths, "/jobs/000000000000/watch/", "/models/..%2F..", "/static/..%2F..%2Fservice.db"):
        found = browser.get(path)
        assert found.status_code == 404, path
        assert "set-cookie" not in found.headers


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a\r\nSet-Cookie: x",
        "",
        "/%2f/evil",
        "/jobs/../x",
    ],
)
def test_signing_in_leads_to_pages_of_this_site(path: str) -> None:
    assert own_path(path) == "/models"
    assert own_path("/jobs/0123456789ab") == "/jobs/0123456789ab"
