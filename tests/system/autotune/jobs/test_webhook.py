"""The webhook: whatever its URL and its server do, one line says so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from autotune.jobs.webhook import ascii_url, post

_PLACES = {"/there": 302, "/moved": 307, "/broken": 500, "/gone": 404}


class _Recorder(BaseHTTPRequestHandler):
    posts: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append((self.path, self.headers["Authorization"], body))
        self.send_response(_PLACES.get(self.path, 200))
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    posts: list[tuple[str, str | None, bytes]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Recorder", (_Recorder,), {"posts": posts})) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{http.server_port}", posts
        http.shutdown()


@contextmanager
def trickling() -> Iterator[str]:
    """A server that answers a byte every tenth of a second, without end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with closing(connection):
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    for _ in range(100):
                        connection.sendall(b"x")
                        time.sleep(0.1)
                except OSError:
                    return

        threading.Thread(target=trickle, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=40),
    st.sampled_from(["http://127.0.0.1:1/", "http://127.0.0.1:1/?q=", "http://", "https://"]),
)
@example("", "http://[")
@example("a:99999999/", "http://")
@example("a..b/", "http://")
@example("\udcff", "http://127.0.0.1:1/")
def test_no_url_raises_and_each_is_told_in_one_line(text: str, start: str) -> None:
    # Names of hosts would be looked up.
    assume(
        start.startswith("http://127") or not any(c.isalnum() for c in text) or ".." in text or ":9" in text
    )
    found = post(start + text, {}, 5.0)
    assert found is not None and found.startswith("the webhook ") and "was not told: " in found
    assert "\n" not in found.partition("was not told: ")[2]


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="#?%\\"), max_size=30
    )
)
@example("fertig-ä ö/日本")
def test_a_path_arrives_as_it_was_written(path: str) -> None:
    assume(path == path.strip())
    sent = ascii_url(f"http://host/{path}")
    assert sent.isascii() and " " not in sent
    assert unquote(urlsplit(sent).path) == f"/{path}"


def test_hosts_outside_ascii_are_sent_in_punycode() -> None:
    assert ascii_url("https://bücher.example:8443/fertig?wer=jörg#x") == (
        "https://xn--bcher-kva.example:8443/fertig?wer=j%C3%B6rg"
    )
    assert ascii_url("http://[::1]:80/a%20b") == "http://[::1]:80/a%20b"


def test_a_letter_outside_ascii_is_told_and_so_is_a_document_with_any_name(
    server: tuple[str, list[tuple[str, str | None, bytes]]],
) -> None:
    where, posts = server
    assert post(f"http://{where}/nächte", {"model": "caf\udce9"}) is None
    assert [(path, body.split()) for path, _, body in posts] == [
        ("/n%C3%A4chte", [b"{", b'"model":', b'"caf\\udce9"', b"}"])
    ]


def test_a_user_and_a_password_are_sent_and_not_shown(
    server: tuple[str, list[tuple[str, str | None, bytes]]],
) -> None:
    where, posts = server
    assert post(f"http://ann:s3cret@{where}/", {}) is None
    assert [header for _, header, _ in posts] == ["Basic YW5uOnMzY3JldA=="]
    found = post(f"http://ann:s3cret@{where}/broken", {})
    assert found is not None and "500" in found and "s3cret" not in found


@pytest.mark.parametrize(("path", "code"), _PLACES.items())
def test_a_server_that_does_not_take_it_is_a_warning(
    server: tuple[str, list[tuple[str, str | None, bytes]]], path: str, code: int
) -> None:
    found = post(f"http://{server[0]}{path}", {})
    assert found is not None and str(code) in found
    assert ("http://127.0.0.1:9/elsewhere" in found) == (code < 400)


def test_plain_text_where_tls_is_expected_is_a_warning(
    server: tuple[str, list[tuple[str, str | None, bytes]]],
) -> None:
    found = post(f"https://{server[0]}/", {})
    assert found is not None and "SSL" in found


def test_an_answer_that_never_ends_is_waited_for_no_longer_than_allowed() -> None:
    with trickling() as url:
        started = time.monotonic()
        found = post(url, {}, 0.3)
    assert found is not None and "no answer within 0.3 s" in found
    assert time.monotonic() - started < 5
