"""Requests to the service, repeated while it does not answer; its errors are raised by their codes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec

from autotune.service.documents import Problem
from search_spaces.errors import AutotuneError, Misuse

_PREFIX: Final = "/api/v1"
_PAUSE_SECS: Final = 0.5
#: For which a server that never answered is asked again: as long as one takes that restarts.
FIRST_PATIENCE_SECS: Final = 2.0
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_BUSY: Final = (502, 503, 504)
_T = TypeVar("_T")


class Exchange:
    """Exchanges documents with the service at a URL; the arguments are `Client`'s."""

    def __init__(
        self, url: str, token: str | None, patience_secs: float, transport: httpx.BaseTransport | None
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/") + _PREFIX, headers=headers, timeout=_TIMEOUT, transport=transport
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise Misuse(
                f"expected a URL such as http://127.0.0.1:8000, found {url!r}: {error}", code="AT908"
            ) from error
        self._url, self._patience_secs = url, patience_secs
        self._has_answered = False

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def get(self, path: str, kind: type[_T], query: Mapping[str, Any] | None = None) -> _T:
        """The document at a path of the interface."""
        return self._patiently(lambda: _decoded(self._http.get(path, params=query), kind))

    def post(self, path: str, kind: type[_T], body: object = None, *, keyed: bool = False) -> _T:
        """The document that a request to change something gives; keyed: a repeated request counts once."""
        headers = {"Idempotency-Key": secrets.token_hex(16)} if keyed else {}
        if body is None:
            return self._patiently(lambda: _decoded(self._http.post(path, headers=headers), kind))
        return self._patiently(lambda: _decoded(self._http.post(path, json=body, headers=headers), kind))

    def patch(self, path: str, kind: type[_T], content: Iterator[bytes], headers: Mapping[str, str]) -> _T:
        """The document that bytes to append give, sent once. Raises httpx.TransportError for a lost connection."""
        return _decoded(self._http.patch(path, content=content, headers=headers), kind)

    def save(self, address: str, path: Path) -> Path:
        """Writes what is at an address into a file."""

        def save() -> Path:
            with self._http.stream("GET", address) as response:
                if response.is_error:
                    response.read()
                    _raise(response)
                scratch = path.with_name(f".{path.name}.part")
                with scratch.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                scratch.replace(path)
            return path

        return self._patiently(save)

    def _patiently(self, request: Callable[[], _T]) -> _T:
        """Makes a request, again while the server does not answer."""
        patience_secs = (
            self._patience_secs if self._has_answered else min(self._patience_secs, FIRST_PATIENCE_SECS)
        )
        until = time.monotonic() + patience_secs
        while True:
            try:
                found = request()
                self._has_answered = True
                return found
            except (httpx.TransportError, _Busy) as error:
                if time.monotonic() > until:
                    raise AutotuneError(
                        f"expected a service at {self._url}, found: {error or type(error).__name__}; see that autotune "
                        "serve runs there",
                        code="AT908",
                    ) from error
            except httpx.InvalidURL as error:
                raise Misuse(
                    f"expected a name or an id that fits into a URL, found: {error}", code="AT908"
                ) from error
            except httpx.RequestError as error:  # neither a lost connection nor an answer that means anything
                raise AutotuneError(
                    f"expected an answer of autotune serve from {self._url}, found: {error or type(error).__name__}; "
                    "check the URL",
                    code="AT908",
                ) from error
            time.sleep(_PAUSE_SECS)


class _Busy(Exception):
    """A server, or a proxy before it, that cannot answer now."""


def _decoded(response: httpx.Response, kind: type[_T]) -> _T:
    if response.is_error:
        _raise(response)
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AutotuneError(
            f"expected an answer of autotune serve from {response.url}, found: {error}; check the URL, and that both "
            "have the same version",
            code="AT908",
        ) from error


def _raise(response: httpx.Response) -> None:
    """Raises the error that a response tells of."""
    try:
        found = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if response.status_code in _BUSY:
            raise _Busy(f"{response.status_code} {response.reason_phrase}") from None
        raise AutotuneError(
            f"expected an answer of autotune serve from {response.url}, found {response.status_code} "
            f"{response.reason_phrase}; check the URL",
            code="AT908",
        ) from None
    if found.status == 503:
        raise _Busy(found.detail)
    kind = Misuse if found.status in (400, 404, 409, 413, 422) else AutotuneError
    raise kind(found.detail, code=found.code)
