"""Responses to browsers: pages with their cookie, redirects, refusals."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from autotune.service.api.problems import json_problem
from autotune.service.documents import Problem
from autotune.service.pages.job_facts import Frame
from autotune.service.pages.service_pages import refusal_page
from autotune.service.site.visitor import COOKIE, Visitor, give_cookie

MENU: Final = (("Models", "/models"), ("Jobs", "/jobs"), ("Bookings", "/bookings"))
_API: Final = "/api/"


def frame_for(visitor: Visitor | None, title: str, section: str = "", events: str | None = None) -> Frame:
    """The frame of a page of the service. events: the path whose `events` tell of changes, None for none."""
    is_signed_in = visitor is not None and visitor.caller is not None and visitor.caller.token is not None
    return Frame(
        title,
        section=section,
        is_live=events is not None,
        events=events,
        menu=MENU,
        sign_out=visitor.csrf if visitor is not None and is_signed_in else None,
    )


def page(request: Request, visitor: Visitor, text: str, status: int = 200) -> Response:
    """A page, with the visitor's cookie where the browser has none."""
    response = HTMLResponse(text, status)
    if request.cookies.get(COOKIE) != visitor.secret:
        give_cookie(request, response, visitor.secret)
    return response


def redirect(path: str) -> Response:
    """Sends the browser to another page after a form."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def answer_problem(request: Request, problem: Problem) -> Response:
    """Problem details for programs; for browsers a page, or that for signing in."""
    path = request.url.path
    if path.startswith(_API):
        return json_problem(problem)
    if problem.status == HTTPStatus.UNAUTHORIZED and request.method == "GET":
        return redirect(f"/sign-in?next={quote(path)}")
    text = refusal_page(frame_for(None, problem.title), problem)
    return HTMLResponse(text, problem.status)
