"""Style sheet, script and icon of all pages as routes (imports Starlette)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from autotune.service.pages.rendering import script, style_sheet

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M1 3h5v5h4v3h5" fill="none" stroke="#1668c4" stroke-width="2.4"/></svg>'
)


def asset_routes() -> list[Route]:
    """The routes under /static."""
    return [
        Route("/static/pages.css", _asset(style_sheet(), "text/css")),
        Route("/static/pages.js", _asset(script(), "text/javascript")),
        Route("/static/icon.svg", _asset(_ICON, "image/svg+xml")),
    ]


def _asset(text: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(text, media_type=kind)

    return answer
