"""Progress of a job as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from sse_starlette.sse import EventSourceResponse
from starlette.responses import Response

from autotune.service.api.access import Here, Reader
from autotune.service.service import Service
from search_spaces.errors import Misuse

router = APIRouter(tags=["jobs"])

_PAUSE_SECS: Final = 0.5
_PING_SECS: Final = 15


@router.get("/jobs/{job}/events", response_class=EventSourceResponse)
async def follow_job(request: Request, here: Here, caller: Reader, job: str) -> Response:
    """Sends an event `job` with the document of the job whenever that changes, until the job is over."""
    await to_thread.run_sync(here.jobs.get, job)
    streams: set[object] = request.app.state.streams
    if len(streams) >= here.limits.streams:
        raise Misuse(
            f"expected at most {here.limits.streams} streams of events; ask for the job instead", code="AT905"
        )
    return EventSourceResponse(_changes(here, job, caller.token, streams), ping=_PING_SECS)


async def _changes(
    here: Service, job: str, token: str | None, streams: set[object]
) -> AsyncIterator[dict[str, str]]:
    mark = object()
    streams.add(mark)
    try:
        last = None
        while await to_thread.run_sync(_is_allowed, here, token):
            found = await to_thread.run_sync(here.jobs.get, job)
            if found != last:
                last = found
                yield {"event": "job", "data": msgspec.json.encode(found).decode()}
            if found.state.is_over:
                return
            await asyncio.sleep(_PAUSE_SECS)
    finally:
        streams.discard(mark)


def _is_allowed(here: Service, token: str | None) -> bool:
    """Whether a token that a stream began with is still valid."""
    return token is None or here.tokens.get(token).is_valid
