"""Signing in with a token, and out again."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from autotune.service.api.access import Here
from autotune.service.pages.service_pages import sign_in_page
from autotune.service.site.form_fields import FormFields, text_of
from autotune.service.site.responses import frame_for, page, redirect
from autotune.service.site.visitor import Anybody, give_cookie

router = APIRouter()

#: Paths of our own pages: of plain characters, and never the start of another site's address.
_OWN_PATH: Final = re.compile(r"/(?:[A-Za-z0-9_-][A-Za-z0-9/_-]*)?")
_FIRST: Final = "/models"


@router.get("/")
def get_first(_visitor: Anybody) -> Response:
    """Leads to the first page."""
    return redirect(_FIRST)


@router.get("/sign-in")
def get_sign_in(request: Request, visitor: Anybody, next: str = _FIRST) -> Response:
    """Shows the form for a token."""
    return page(request, visitor, sign_in_page(frame_for(None, "Sign in"), visitor.csrf, own_path(next)))


@router.post("/sign-in")
def sign_in(request: Request, here: Here, visitor: Anybody, form: FormFields) -> Response:
    """Opens a session with a new cookie for a valid token."""
    visitor.check(form.get("csrf"))
    following = own_path(text_of(form, "next"))
    found = here.tokens.check(text_of(form, "token"))
    if found is None:
        message = "This token is unknown, expired or revoked."
        text = sign_in_page(frame_for(None, "Sign in"), visitor.csrf, following, message)
        return page(request, visitor, text, 401)
    here.sessions.close(visitor.secret)
    response = redirect(following)
    give_cookie(request, response, here.sessions.open(found.id))
    return response


@router.post("/sign-out")
def sign_out(here: Here, visitor: Anybody, form: FormFields) -> Response:
    """Ends the session."""
    visitor.check(form.get("csrf"))
    here.sessions.close(visitor.secret)
    return redirect("/sign-in")


def own_path(path: str) -> str:
    """A path of this site; the first page where it could lead elsewhere."""
    return path if _OWN_PATH.fullmatch(path) else _FIRST
