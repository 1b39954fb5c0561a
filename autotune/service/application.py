"""The web application of a service: its REST interface and its pages."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from autotune.service.api import bookings, events, jobs, models, packages, tokens, uploads
from autotune.service.api.guards import BodyLimit, OriginGuard, SafeHeaders
from autotune.service.api.problems import MEDIA_TYPE, answer_problems
from autotune.service.documents import Problem
from autotune.service.service import Service
from autotune.service.site import bookings as booking_pages
from autotune.service.site import jobs as job_pages
from autotune.service.site import models as model_pages
from autotune.service.site import sign_in
from autotune.service.site.responses import answer_problem
from autotune.service.site.watched_jobs import WatchedJobs
from autotune.service.watch.assets import asset_routes

PREFIX: Final = "/api/v1"
_PROBLEM: Final[dict[str, Any]] = {
    "model": Problem,
    "description": "Problem details, with the code of the error.",
}

health = APIRouter(tags=["service"])


@health.get("/health")
def get_health() -> dict[str, str]:
    """Tells that the service answers; needs no token."""
    return {"status": "ok"}


class _Application(FastAPI):
    """FastAPI, which describes every error as JSON, with errors described as what they are: problem details."""

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        if self.openapi_schema is None:
            for path in super().openapi()["paths"].values():
                for operation in path.values():
                    _describe_problems(operation["responses"])
        assert self.openapi_schema is not None
        return self.openapi_schema


def _describe_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}


def make_application(service: Service) -> FastAPI:
    """The application of a service: pages, and REST under /api/v1, described at /api/v1/openapi.json."""
    app = _Application(
        title="autotune",
        version=metadata.version("autotune"),
        description="Tunes models on devices: upload a model, submit a job, read its results.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        middleware=[
            Middleware(SafeHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=service.access.hosts, www_redirect=False),
            Middleware(OriginGuard),
            Middleware(BodyLimit, most_bytes=service.limits.body_bytes),
        ],
    )
    app.state.service = service
    app.state.streams = set()
    app.state.watched = WatchedJobs(app)
    answer_problems(app, answer_problem)
    problems: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), _PROBLEM)
    for router in (
        health,
        *(module.router for module in (uploads, models, bookings, events, jobs, packages, tokens)),
    ):
        app.include_router(router, prefix=PREFIX, responses=problems)
    for module in (sign_in, model_pages, job_pages, booking_pages):
        app.include_router(module.router, include_in_schema=False)
    app.router.routes += asset_routes()
    app.mount("/jobs/{job}/watch", app.state.watched)
    return app
