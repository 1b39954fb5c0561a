"""The pages of one job as a web application: read-only, alone or under a path of the service (imports Starlette)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autotune.service.pages.job_facts import Frame, JobFacts
from autotune.service.pages.rendering import (
    failures_page,
    machine_page,
    operator_page,
    operators_page,
    overview_page,
    problem_page,
)
from autotune.service.watch.assets import asset_routes
from autotune.service.watch.job_reader import JobReader, is_running
from autotune.service.watch.studies import Studies
from search_spaces import AutotuneError

# How often the job is looked at for somebody who has a page open.
_LOOK_SECS = 2.0
_HURRY_SECS = 1.0
_STUDIED_TRIALS = 2000
_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def make_application(reader: JobReader) -> Starlette:
    """The application for one job, on its own."""
    pages = _Pages(reader, Studies(), Frame(""))
    return Starlette(
        routes=[*pages.routes, *asset_routes()],
        middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
        exception_handlers={404: pages.missing, AutotuneError: pages.changed},
    )


def mounted_application(reader: JobReader, frame: Frame) -> Starlette:
    """The application for one job under a path of another one, which guards it and has the assets.

    frame: of all pages, with the path as its base.
    """
    pages = _Pages(reader, Studies(), frame)
    return Starlette(
        routes=pages.routes, exception_handlers={404: pages.missing, AutotuneError: pages.changed}
    )


Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class _Pages:
    reader: JobReader
    studies: Studies
    frame: Frame

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/", self.job_page(overview_page, "Overview")),
            Route("/operators", self.job_page(operators_page, "Operators")),
            Route("/operators/{pair}", self.operator),
            Route("/failures", self.job_page(failures_page, "Failures")),
            Route("/machine", self.job_page(machine_page, "Machine")),
            Route("/events", self.events),
        ]

    def job_page(self, render: Callable[[Frame, JobFacts], str], section: str) -> Endpoint:
        async def answer(_request: Request) -> Response:
            return HTMLResponse(await asyncio.to_thread(self._render, render, section))

        return answer

    async def operator(self, request: Request) -> Response:
        link = f"operators/{request.path_params['pair']}"
        text = await asyncio.to_thread(self._operator, link, "study" in request.query_params)
        return await self.missing(request, None) if text is None else HTMLResponse(text)

    async def events(self, _request: Request) -> Response:
        return EventSourceResponse(self._changes(), ping=20)

    async def missing(self, _request: Request, _error: Exception | None) -> Response:
        message = "The address is misspelt, or the operator has no records."
        return HTMLResponse(
            problem_page(replace(self.frame, title="No such page", is_live=False), message), 404
        )

    async def changed(self, _request: Request, error: Exception) -> Response:
        return HTMLResponse(
            problem_page(replace(self.frame, title="Not now", is_live=False), str(error)), 503
        )

    def _render(self, render: Callable[[Frame, JobFacts], str], section: str) -> str:
        facts = self.reader.facts()
        title = f"{facts.report.status.name}: {section.lower()}"
        return render(replace(self.frame, title=title, section=section), facts)

    def _operator(self, link: str, is_wanted: bool) -> str | None:  # noqa: FBT001 - of the query
        job = self.reader.facts()
        facts = self.reader.operator(link)
        if facts is None:
            return None
        # While a job measures, its processors are left to it, unless somebody asks.
        if is_wanted or not is_running(job):
            found = self.reader.trials(link, _STUDIED_TRIALS)
            if found is not None:
                self.studies.begin(link, *found)
        facts = replace(facts, space=self.studies.get(link))
        title = f"{facts.operator.name}: operator"
        return operator_page(replace(self.frame, title=title, section="Operators"), facts)

    async def _changes(self) -> AsyncIterator[dict[str, str]]:
        """An event whenever there is something new, while the browser listens."""
        known: tuple[int, int] | None = None
        while True:
            with suppress(
                AutotuneError
            ):  # of a log that is replaced at this moment: the next look reads it anew
                await asyncio.to_thread(self.reader.facts)
            found = (self.reader.version, self.studies.version)
            if known != found:
                known = found
                yield {"event": "changed", "data": str(sum(found))}
            await asyncio.sleep(_HURRY_SECS if self.reader.is_behind else _LOOK_SECS)


class _Headers:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_with_headers)
