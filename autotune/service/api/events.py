"""Progress as server-sent events: the document of a job for programs, the news that a page is stale for browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from sse_starlette.sse import EventSourceResponse
from starlette.responses import Response

from autotune.service.api.access import Here, Reader
from autotune.service.documents import JobDocument
from autotune.service.service import Service
from search_spaces.errors import Misuse

router = APIRouter(tags=["jobs"])

_PAUSE_SECS: Final = 0.5
_PING_SECS: Final = 15

#: The state of something, and whether it is the last.
Look = Callable[[], tuple[object, bool]]
Events = AsyncIterator[dict[str, str]]


@router.get("/jobs/{job}/events", response_class=EventSourceResponse)
async def follow_job(request: Request, here: Here, caller: Reader, job: str) -> Response:
    """Sends an event `job` with the document of the job whenever that changes, until the job is over."""
    await to_thread.run_sync(here.jobs.get, job)

    def look() -> tuple[JobDocument, bool]:
        found = here.jobs.get(job)
        return found, found.state.is_over

    return stream(request, here, _documents(here, caller.token, look))


def stream(request: Request, here: Service, events: Events) -> Response:
    """A response that sends events. Raises Misuse where too many are open."""
    streams: set[object] = request.app.state.streams
    if len(streams) >= here.limits.streams:
        raise Misuse(
            f"expected at most {here.limits.streams} streams of events; ask for the job instead", code="AT905"
        )
    return EventSourceResponse(_counted(events, streams), ping=_PING_SECS)


async def changed_events(here: Service, token: str | None, look: Look) -> Events:
    """An event `changed` whenever something has changed, and `over` after its last state."""
    async for _ in _states(here, token, look):
        yield {"event": "changed", "data": ""}
    yield {"event": "over", "data": ""}


async def _documents(here: Service, token: str | None, look: Look) -> Events:
    async for found in _states(here, token, look):
        yield {"event": "job", "data": msgspec.json.encode(found).decode()}


async def _states(here: Service, token: str | None, look: Look) -> AsyncIterator[object]:
    """The states of something, each once, until the last, or until the token is not valid any more."""
    last: object = None
    while await to_thread.run_sync(_is_allowed, here, token):
        found, is_last = await to_thread.run_sync(look)
        if found != last:
            last = found
            yield found
        if is_last:
            return
        await asyncio.sleep(_PAUSE_SECS)


async def _counted(events: Events, streams: set[object]) -> Events:
    mark = object()
    streams.add(mark)
    try:
        async for event in events:
            yield event
    finally:
        streams.discard(mark)


def _is_allowed(here: Service, token: str | None) -> bool:
    """Whether a token that a stream began with is still valid."""
    return token is None or here.tokens.get(token).is_valid
