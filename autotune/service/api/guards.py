"""Guards around every request: its origin, its size, and headers that tell browsers what a page may do."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autotune.service.api.problems import described, json_problem, problem_of
from search_spaces.errors import AutotuneError

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_OWN_SITE: Final = ("same-origin", "none")
#: Requests that stream a file have the limits of uploads.
_STREAMED: Final = re.compile(r"/api/v1/uploads/[0-9a-f]+|/models")
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class OriginGuard:
    """Refuses requests that change something and come from a page of another site, by what browsers tell of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or passes the request on."""
        if (
            scope["type"] == "http"
            and scope["method"] not in _SAFE
            and not is_same_origin(Headers(scope=scope))
        ):
            error = AutotuneError(
                "expected a request from a page of this service, found another site's", code="AT906"
            )
            refusal = json_problem(problem_of(error))
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from a page of the host that it goes to, or from no page at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN_SITE:
        return False
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


class BodyLimit:
    """Refuses bodies that are larger than a limit, uploads excepted, whatever their headers say."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self.app, self._most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem as soon as too much is announced or received."""
        if scope["type"] != "http" or _STREAMED.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        refusal = json_problem(
            described("AT905", f"expected a request of at most {self._most_bytes} bytes, found more", 413)
        )
        if not announced.isdecimal() or len(announced) > 18 or int(announced) > self._most_bytes:
            await refusal(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                await refusal(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        await self.app(scope, _once(bytes(body), receive), send)


class SafeHeaders:
    """Adds headers that keep browsers from running, framing or guessing what a response holds."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and adds the headers to its response."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, adding if scope["type"] == "http" else send)


def _once(body: bytes, receive: Receive) -> Receive:
    """Receives a body that was read already, then whatever comes after it."""
    bodies = [body]

    async def replay() -> Message:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        return await receive()

    return replay
