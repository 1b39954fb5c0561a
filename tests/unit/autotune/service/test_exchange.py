"""Whatever a server answers, and whatever is asked of it, a client ends in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from autotune.service import exchange
from autotune.service.client import Client
from search_spaces.errors import AutotuneError, Misuse

ANSWERS: dict[str, Callable[[], httpx.Response]] = {
    "empty": lambda: httpx.Response(200),
    "no document": lambda: httpx.Response(200, content=b"<html>"),
    "no text": lambda: httpx.Response(200, content=b'{"id": "\xff\xfe"}'),
    "deep": lambda: httpx.Response(200, content=b"[" * 200_000),
    "deep problem": lambda: httpx.Response(400, content=b'{"detail":' + b"[" * 200_000),
    "no text in a problem": lambda: httpx.Response(400, content=b'{"detail": "\xff"}'),
    "no gzip": lambda: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=b"no gzip"),
    "moved": lambda: httpx.Response(302, headers={"Location": "http://[::1"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_strangers_are_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_PATIENCE_SECS", 0.0)

    def answer(_request: httpx.Request) -> httpx.Response:
        return ANSWERS[name]()

    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(answer)) as client:
        for call in (lambda: client.results("a"), lambda: client.job("a")):
            with pytest.raises(AutotuneError, match="autotune serve") as caught:
                call()
            assert caught.value.code == "AT908"


@pytest.mark.parametrize("job", ["x" * 70_000, "\x00", "\udcff", "../..", "?", "#", ""])
def test_ids_of_any_text_are_asked_for_or_refused(job: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path.startswith("/api/v1/jobs/")
        return httpx.Response(200, content=b"{}")

    with (
        Client("http://127.0.0.1:1", transport=httpx.MockTransport(answer)) as client,
        pytest.raises((AutotuneError, Misuse)),
    ):
        client.results(job)
