"""The web application of a service."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from autotune.service.api import events, jobs, models, tokens, uploads
from autotune.service.api.guards import BodyLimit, OriginGuard, SafeHeaders
from autotune.service.api.problems import answer_problems
from autotune.service.documents import Problem
from autotune.service.service import Service

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


def make_application(service: Service) -> FastAPI:
    """The application of a service: REST under /api/v1, described at /api/v1/openapi.json."""
    app = FastAPI(
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
    answer_problems(app)
    problems: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), _PROBLEM)
    for router in (health, *(module.router for module in (uploads, models, events, jobs, tokens))):
        app.include_router(router, prefix=PREFIX, responses=problems)
    return app
