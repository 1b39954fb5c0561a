"""The visitor of a page: the cookie of a browser, the token that signed in, and proof that forms are our own."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.responses import Response

from autotune.service.api.access import Caller, is_anonymous_allowed, service_of
from autotune.service.sessions import SESSION_SECS, is_secret, new_secret
from autotune.service.token_documents import Scope
from search_spaces.errors import AutotuneError

COOKIE: Final = "autotune_session"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser. secret: of its cookie; caller: None before it has signed in."""

    secret: str
    caller: Caller | None

    @property
    def csrf(self) -> str:
        """The text that forms of this browser's pages send along, and other sites cannot know."""
        return hmac.new(self.secret.encode(), b"form", hashlib.sha256).hexdigest()

    @property
    def can_submit(self) -> bool:
        """Whether forms that change something are shown."""
        return self.caller is not None and Scope.SUBMIT in self.caller.scopes

    def check(self, csrf: object) -> None:
        """Raises AutotuneError where a form was not sent from a page that this browser was given."""
        if not (isinstance(csrf, str) and hmac.compare_digest(csrf.encode(), self.csrf.encode())):
            raise AutotuneError(
                "expected a form of a page of this service, found none or one of another session; load the page anew "
                "and send it again",
                code="AT745",
            )


def visitor_of(request: Request) -> Visitor:
    """The visitor that a request comes from; one without a cookie gets a new one."""
    service = service_of(request)
    secret = request.cookies.get(COOKIE, "")
    if not is_secret(secret):
        secret = new_secret()
    elif (token := service.sessions.token(secret)) is not None:
        service.usage.count(token.id, requests=1)
        return Visitor(secret, Caller(token.id, frozenset(token.scopes)))
    if is_anonymous_allowed(request, service):
        return Visitor(secret, Caller(None, frozenset((Scope.READ, Scope.SUBMIT))))
    return Visitor(secret, None)


def give_cookie(request: Request, response: Response, secret: str) -> None:
    """Keeps a secret in the browser: out of reach of scripts, and sent along by pages of this site alone."""
    is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_SECS),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="strict",
    )


def _with_scope(visitor: Visitor, scope: Scope) -> Visitor:
    if visitor.caller is None:
        raise AutotuneError(
            "expected somebody who is signed in with a token, found nobody; `autotune token create` makes a token",
            code="AT901",
        )
    if scope not in visitor.caller.scopes:
        raise AutotuneError(
            f"expected a token with the scope {scope}, found one without it; sign in with another token",
            code="AT902",
        )
    return visitor


def reading(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """A visitor who may read. Raises AutotuneError for others."""
    return _with_scope(visitor, Scope.READ)


def submitting(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """A visitor who may submit. Raises AutotuneError for others."""
    return _with_scope(visitor, Scope.SUBMIT)


Anybody = Annotated[Visitor, Depends(visitor_of)]
ReadingVisitor = Annotated[Visitor, Depends(reading)]
SubmittingVisitor = Annotated[Visitor, Depends(submitting)]
