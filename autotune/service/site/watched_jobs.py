"""The pages of single jobs under the service's: those of `autotune watch`, for visitors who may read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Final

import anyio
from anyio import to_thread
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from autotune.service.api.problems import problem_of
from autotune.service.pages.job_facts import Frame
from autotune.service.service import Service
from autotune.service.site.responses import answer_problem
from autotune.service.site.visitor import reading, visitor_of
from autotune.service.watch.application import mounted_application
from autotune.service.watch.job_place import JobPlace
from autotune.service.watch.job_reader import JobReader
from search_spaces.errors import AutotuneError, Misuse

# Jobs whose logs are kept open; others are read anew.
_MOST_OPEN: Final = 8
_LOOK_SECS: Final = 1.0


class WatchedJobs:
    """An ASGI application: the pages of the job that the path names, read by readers that several visitors share."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[JobReader, Starlette]] = OrderedDict()

    def reader(self, here: Service, job: str) -> JobReader:
        """The reader of a job. Raises Misuse where there is no such job."""
        return self._opened(here, job)[0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on to the pages of the job, or answers with a problem."""
        request = Request(scope, receive)
        here: Service = self._app.state.service
        try:
            _, pages = await to_thread.run_sync(self._allowed, here, request, scope["path_params"]["job"])
            streams: set[object] = self._app.state.streams
            if scope["path"].endswith("/events") and len(streams) >= here.limits.streams:
                raise Misuse(f"expected at most {here.limits.streams} streams of events", code="AT905")
        except AutotuneError as error:
            await answer_problem(request, problem_of(error))(scope, receive, send)
            return
        mark = object()
        if scope["path"].endswith("/events"):
            streams.add(mark)
        try:
            is_whole = False
            async with anyio.create_task_group() as group:
                group.start_soon(_end_with_session, request, group.cancel_scope)
                await pages(dict(scope), receive, send)  # which names itself in the scope
                is_whole = True
                group.cancel_scope.cancel()
            if not is_whole:
                with suppress(RuntimeError):  # where it had not begun
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            streams.discard(mark)

    def _allowed(self, here: Service, request: Request, job: str) -> tuple[JobReader, Starlette]:
        reading(visitor_of(request))
        return self._opened(here, job)

    def _opened(self, here: Service, job: str) -> tuple[JobReader, Starlette]:
        with self._lock:
            if job in self._open:
                self._open.move_to_end(job)
                return self._open[job]
        name = here.queue.row(job).name
        reader = JobReader(JobPlace(here.folder.output(job), None))
        frame = Frame(name, base=f"/jobs/{job}/watch", up=("Job", f"/jobs/{job}"))
        with self._lock:
            found = self._open.setdefault(job, (reader, mounted_application(reader, frame)))
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
            return found


async def _end_with_session(request: Request, scope: anyio.CancelScope) -> None:
    """Ends a stream whose visitor is not signed in any more."""
    while True:
        await anyio.sleep(_LOOK_SECS)
        visitor = await to_thread.run_sync(visitor_of, request)
        if visitor.caller is None:
            scope.cancel()
