"""The REST interface in this process: access, uploads, jobs, and what hostile requests get."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from literal_texts import literal_status
from starlette.testclient import TestClient

from autotune.cluster.address import WorkersAddress
from autotune.jobs.status_file import write_status
from autotune.service.application import make_application
from autotune.service.archive import unpack
from autotune.service.bookings import FRESH_SECS, ClusterBookings, bookings_of, no_bookings
from autotune.service.documents import DeviceDocument, Examination, JobOrder, ModelOrder, Needs, QueueState
from autotune.service.job_files import job_text
from autotune.service.job_queue import Claim, Progress
from autotune.service.known_devices import KnownDevice
from autotune.service.limits import ExaminationLimits, ServiceLimits
from autotune.service.model_shelf import file_name
from autotune.service.service import Access, Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.token_documents import Scope
from search_spaces import Misuse

LIMITS = ServiceLimits(upload_bytes=1000, body_bytes=2000)
HERE = KnownDevice(DeviceDocument("local", "local", None, "llvm"), {})
HOSTILE = '<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b/../../é".onnx'


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return open_service(ServiceFolder(tmp_path / "service"), limits=LIMITS, devices=lambda: (HERE,))


def browse(service: Service, *scopes: Scope, host: str = "127.0.0.1") -> TestClient:
    """A client with a token of these scopes; without one where there are none."""
    headers = {}
    if scopes:
        headers["Authorization"] = f"Bearer {service.tokens.create('test', scopes).secret}"
    app = make_application(service)
    return TestClient(app, f"http://{host}:8000", headers=headers, client=("127.0.0.1", 5))


@pytest.fixture
def client(service: Service) -> TestClient:
    return browse(service, *Scope)


def upload(client: TestClient, name: str = "m.onnx", data: bytes = b"model") -> str:
    begun = client.post("/api/v1/uploads", json={"name": name, "bytes": len(data)})
    assert begun.status_code == 201, begun.text
    where = f"/api/v1/uploads/{begun.json()['id']}"
    done = client.patch(where, content=data, headers={"Upload-Offset": "0"})
    assert done.status_code == 200, done.text
    return str(done.json()["model"])


def ready(service: Service, client: TestClient, name: str = "m.onnx") -> str:
    model = upload(client, name)
    service.shelf.note(model, Examination(is_complete=True))
    return model


def test_without_a_token_only_health_is_told(service: Service) -> None:
    client = browse(service)
    assert client.get("/api/v1/health").json() == {"status": "ok"}
    found = client.get("/api/v1/jobs")
    assert found.status_code == 401
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["code"] == "AT901"
    wrong = {"Authorization": "Bearer at_0123456789_" + "A" * 43}
    assert client.get("/api/v1/jobs", headers=wrong).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("GET", "/jobs", Scope.READ), ("POST", "/jobs", Scope.SUBMIT), ("GET", "/tokens", Scope.ADMIN)],
)
def test_a_token_does_what_its_scopes_say(service: Service, method: str, path: str, scope: Scope) -> None:
    others = [one for one in Scope if one is not scope]
    refused = browse(service, *others).request(method, f"/api/v1{path}", json={"models": []})
    assert (refused.status_code, refused.json()["code"]) == (403, "AT902")
    assert browse(service, scope).request(method, f"/api/v1{path}", json={"models": []}).status_code != 403


def test_tokens_expire_rotate_and_are_revoked(service: Service) -> None:
    made = service.tokens.create("short", [Scope.READ], valid_secs=1e-9)
    assert service.tokens.check(made.secret) is None
    first = service.tokens.create("long", [Scope.READ], valid_secs=1000.0)
    second = service.tokens.rotate(first.token.id)
    assert service.tokens.check(first.secret) is None
    found = service.tokens.check(second.secret)
    assert found is not None and (found.name, found.scopes) == ("long", (Scope.READ,))
    service.tokens.revoke(second.token.id)
    assert service.tokens.check(second.secret) is None
    secrets = [made.secret, first.secret, second.secret]
    stored = b"".join(path.read_bytes() for path in service.folder.path.glob("service.db*"))
    assert not any(secret.split("_", 2)[2].encode() in stored for secret in secrets)


def test_usage_is_counted_by_token(service: Service, client: TestClient) -> None:
    upload(client)
    service.usage.flush()
    [token] = service.tokens.all()
    [day] = service.tokens.get(token.id).usage
    assert (day.requests, day.upload_bytes) == (2, 5)


def test_anonymous_requests_come_from_loopback_itself(service: Service) -> None:
    open_one = replace(service, access=Access(allows_anonymous=True))
    client = browse(open_one)
    assert client.get("/api/v1/jobs").status_code == 200
    assert client.get("/api/v1/tokens").status_code == 403
    assert client.get("/api/v1/jobs", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401
    elsewhere = TestClient(make_application(open_one), "http://127.0.0.1:8000", client=("10.0.0.1", 5))
    assert elsewhere.get("/api/v1/jobs").status_code == 401


def test_other_hosts_and_other_sites_are_refused(service: Service, client: TestClient) -> None:
    assert browse(service, *Scope, host="evil.example").get("/api/v1/jobs").status_code == 400
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9"},
    ):
        found = client.post("/api/v1/jobs", json={"models": []}, headers=headers)
        assert (found.status_code, found.json()["code"]) == (403, "AT906")
    same = client.post("/api/v1/jobs", json={"models": []}, headers={"Origin": "http://127.0.0.1:8000"})
    assert same.json()["code"] == "AT911"


def test_bodies_have_a_limit(client: TestClient) -> None:
    large = client.post("/api/v1/jobs", json={"name": "x" * 3000, "models": []})
    assert (large.status_code, large.json()["code"]) == (413, "AT905")
    chunked = client.post("/api/v1/jobs", content=(b"x" * 100 for _ in range(100)))
    assert chunked.status_code == 413


def test_an_upload_goes_on_at_its_offset(client: TestClient) -> None:
    begun = client.post("/api/v1/uploads", json={"name": "m.onnx", "bytes": 10}).json()
    where = f"/api/v1/uploads/{begun['id']}"
    assert client.patch(where, content=b"01234", headers={"Upload-Offset": "0"}).json()["offset"] == 5
    again = client.patch(where, content=b"01234", headers={"Upload-Offset": "0"})
    assert (again.status_code, again.json()["code"]) == (409, "AT907")
    more = client.patch(where, content=b"567890", headers={"Upload-Offset": "5"})
    assert (more.status_code, more.json()["code"]) == (413, "AT905")
    offset = client.get(where).json()["offset"]
    done = client.patch(where, content=b"0123456789"[offset:], headers={"Upload-Offset": str(offset)}).json()
    assert done["model"] == begun["id"]
    assert client.get(f"/api/v1/models/{done['model']}").json()["state"] == "examining"


def test_a_wrong_checksum_begins_anew(client: TestClient) -> None:
    begun = client.post("/api/v1/uploads", json={"name": "m", "bytes": 1, "sha256": "0" * 64}).json()
    found = client.patch(f"/api/v1/uploads/{begun['id']}", content=b"x", headers={"Upload-Offset": "0"})
    assert found.json()["code"] == "AT907"
    assert client.get(f"/api/v1/uploads/{begun['id']}").json()["offset"] == 0


def test_too_large_uploads_are_refused_at_once(client: TestClient) -> None:
    assert client.post("/api/v1/uploads", json={"name": "m", "bytes": 1001}).json()["code"] == "AT905"
    assert client.post("/api/v1/uploads", json={"name": "", "bytes": 1}).json()["code"] == "AT911"


def test_the_same_request_is_carried_out_once(service: Service, client: TestClient) -> None:
    model = ready(service, client)
    order = {"models": [{"model": model}], "trials": 5}
    key = {"Idempotency-Key": "abc"}
    first, second = (client.post("/api/v1/jobs", json=order, headers=key).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert len(client.get("/api/v1/jobs").json()["jobs"]) == 1
    third = client.post("/api/v1/jobs", json=order).json()
    assert (first["position"], third["position"]) == (1, 2)
    assert third["expected_start"] >= first["expected_start"]


def test_names_from_outside_are_no_paths_no_headers_and_no_markup(
    service: Service, client: TestClient
) -> None:
    model = ready(service, client, HOSTILE)
    stored = service.shelf.path(model)
    assert stored.parent == service.folder.model(model)
    assert stored.name.isascii() and stored.exists()
    found = client.get(f"/api/v1/models/{model}")
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.json()["name"] == HOSTILE
    job = client.post("/api/v1/jobs", json={"models": [{"model": model}], "trials": 5}).json()["id"]
    for name in ("..%2F..%2Fjobs.toml", "jobs.toml", "%2Fetc%2Fpasswd", "a%0d%0aSet-Cookie:x"):
        answer = client.get(f"/api/v1/jobs/{job}/files/{name}")
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
    assert client.get("/api/v1/jobs/..%2F..%2Fetc/files/x").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"devices": ["rpc://10.0.0.1:9190/x?target=llvm"]},
        {"devices": []},
        {"trials": None},
        {"trials": -1},
        {"time": "soon"},
        {"seed": -1},
        {"models": [{"model": "0123456789ab"}]},
        {"unknown": 1},
        {"models": []},
    ],
)
def test_orders_that_cannot_be_run_are_refused(
    service: Service, client: TestClient, change: dict[str, object]
) -> None:
    model = ready(service, client)
    order = {"models": [{"model": model}], "trials": 5, **change}
    found = client.post("/api/v1/jobs", json=order)
    assert 400 <= found.status_code < 500
    assert found.json()["code"].startswith("AT")
    assert client.get("/api/v1/jobs").json()["jobs"] == []


def test_a_job_is_cancelled_and_gone_on_with(service: Service, client: TestClient) -> None:
    model = ready(service, client)
    job = client.post("/api/v1/jobs", json={"models": [{"model": model}], "time": "10m"}).json()["id"]
    assert client.post(f"/api/v1/jobs/{job}/again", json={"time": "5m"}).json()["code"] == "AT904"
    assert client.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/v1/jobs/{job}/cancel").json()["code"] == "AT904"
    again = client.post(f"/api/v1/jobs/{job}/again", json={"time": "5m"}).json()
    assert (again["state"], again["order"]["time"]) == ("queued", "900s")


def test_only_the_last_claim_changes_a_job(service: Service, client: TestClient) -> None:
    model = ready(service, client)
    job = client.post("/api/v1/jobs", json={"models": [{"model": model}], "trials": 5}).json()["id"]
    first = service.queue.claim("one", 10.0)
    assert first == Claim(job, 1)
    assert service.queue.claim("one", 10.0) is None
    assert service.queue.recover("one") == 1
    second = service.queue.claim("one", 10.0)
    assert second == Claim(job, 2)
    service.queue.note(first, Progress(1.0, 1, None, "stale"))
    assert not service.queue.renew(first, 10.0)
    assert not service.queue.finish(first, QueueState.FINISHED, None)
    assert service.jobs.get(job).activity == "starting"
    assert service.queue.finish(second, QueueState.FINISHED, None)
    assert service.jobs.get(job).state is QueueState.FINISHED


def test_a_killed_server_loses_no_upload(service: Service, client: TestClient) -> None:
    begun = client.post("/api/v1/uploads", json={"name": "m.onnx", "bytes": 3}).json()["id"]
    service.folder.upload(begun).write_bytes(b"abc")  # all bytes are there, and it was killed then
    service.uploads.recover()
    assert service.shelf.get(begun).bytes == 3
    other = client.post("/api/v1/uploads", json={"name": "m.onnx", "bytes": 3}).json()["id"]
    service.folder.model(other).mkdir()
    (service.folder.model(other) / "m.onnx").write_bytes(b"abc")  # it was moved, and the store not told
    service.folder.upload(other).unlink()
    service.uploads.recover()
    assert service.uploads.get(other).model == other
    assert service.shelf.path(other).read_bytes() == b"abc"


def test_the_interface_describes_itself(client: TestClient) -> None:
    found = client.get("/api/v1/openapi.json").json()
    assert "/api/v1/jobs/{job}/again" in found["paths"]
    assert "JobOrder" in found["components"]["schemas"]


def test_packages_are_ordered_of_jobs_that_are_over(service: Service, client: TestClient) -> None:
    model = ready(service, client)
    job = client.post("/api/v1/jobs", json={"models": [{"model": model}], "trials": 5}).json()["id"]
    where = f"/api/v1/jobs/{job}/packages"
    assert client.post(where, json={"form": "wheel"}).json()["code"] == "AT746"
    client.post(f"/api/v1/jobs/{job}/cancel")
    write_status(service.folder.output(job), literal_status())
    for wanted in ({"form": "egg"}, {"form": "wheel", "model": "x"}, {"form": "wheel", "device": "../x"}):
        assert client.post(where, json=wanted).json()["code"] == "AT747"
    first, second = (client.post(where, json={"form": "wheel"}).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert (first["model"], first["device"], first["state"]) == ("m", "local", "queued")
    early = client.get(f"{where}/{first['id']}/file")
    assert (early.status_code, early.json()["code"]) == (409, "AT746")
    for package in ("..%2F..", "000000000000"):
        assert client.get(f"{where}/{package}/file").status_code == 404
    other = client.post("/api/v1/jobs", json={"models": [{"model": model}], "trials": 5}).json()["id"]
    assert client.get(f"/api/v1/jobs/{other}/packages/{first['id']}").status_code == 404
    assert client.get(f"/api/v1/jobs/{job}/results").json()["packages"] == [first]


@pytest.mark.parametrize(
    ("name", "stored"),
    [("../../etc/passwd", "passwd.onnx"), ("a b.ONNX", "a_b.onnx"), ("..", "model.onnx"), ("x.zip", "x.zip")],
)
def test_stored_names_are_plain(name: str, stored: str) -> None:
    assert file_name(name) == stored


def test_a_job_file_holds_hostile_texts_as_texts() -> None:
    import tomllib

    order = JobOrder((ModelOrder("a", {'x"\n[[models]]': (1, "1..8")}, needs=Needs(5.0)),), trials=3)
    found = tomllib.loads(job_text(order, ['m"\x7f\n.onnx']))
    [model] = found["models"]
    assert model["path"] == 'm"\x7f\n.onnx'
    assert model["shapes"] == {'x"\n[[models]]': [1, "1..8"]}
    assert model["latency_ms"] == 5.0


def packed(*members: tuple[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("/etc/evil", b"x")],
        [("a/../../evil", b"x")],
        [("a\\..\\evil", b"x")],
        [("bomb", bytes(20 << 20))],
        [("many" + str(number), b"") for number in range(20)],
        [("/".join("abcdefghijkl"), b"x")],
        [("a", b"x"), ("a/b", b"x")],
    ],
)
def test_archives_stay_in_their_folder_and_within_limits(
    tmp_path: Path, members: list[tuple[str, bytes]]
) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(packed(*members).getvalue())
    with pytest.raises(Misuse):
        unpack(path, tmp_path / "out", replace(ExaminationLimits(), members=10, unpacked_bytes=1 << 22))
    outside = list(tmp_path.rglob("evil"))
    assert outside == []


def test_bookings_are_those_of_the_cluster_and_asked_for_seldom(service: Service) -> None:
    asked: list[float] = []
    now = [0.0]

    def look() -> list[dict[str, object]]:
        asked.append(now[0])
        lease = {
            "job": HOSTILE,
            "held_secs": 5.0,
            "left_secs": 55.0,
            "waiting": ["b:2"],
            "device": "pi4",
            "unit": "u",
        }
        return [
            {"device": "pi4", "seat": "10.0.0.4/pi4-0", "booking": lease},
            {"device": "pi4", "seat": "10.0.0.5/pi4-0", "booking": None},
        ]

    client = browse(replace(service, bookings=ClusterBookings(look, lambda: now[0])), *Scope)
    held, free = client.get("/api/v1/bookings").json()
    assert (held["device"], held["job"], held["left_secs"], held["waiting"]) == (
        "pi4",
        HOSTILE,
        55.0,
        ["b:2"],
    )
    assert (free["place"], free["job"]) == ("10.0.0.5/pi4-0", None)
    now[0] = FRESH_SECS - 1
    client.get("/api/v1/bookings")
    now[0] = FRESH_SECS + 1
    client.get("/api/v1/bookings")
    assert asked == [0.0, FRESH_SECS + 1]
    assert browse(service, *Scope).get("/api/v1/bookings").json() == []
    assert browse(service, Scope.SUBMIT).get("/api/v1/bookings").status_code == 403


def test_only_a_cluster_that_jobs_share_has_bookings() -> None:
    assert bookings_of(WorkersAddress("local")) is bookings_of(WorkersAddress("ray")) is no_bookings
    assert isinstance(bookings_of(WorkersAddress("ray://127.0.0.1:1")), ClusterBookings)
