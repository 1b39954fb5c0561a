"""Access to the service: the token of a request, and the scopes that it has."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from autotune.service.service import Service
from autotune.service.token_documents import Scope
from search_spaces.errors import AutotuneError

_BEARER = HTTPBearer(auto_error=False, description="A token, as `autotune token create` prints it.")
#: Headers of proxies: a request through one does not come from loopback, whatever its socket says.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Caller:
    """The author of a request; token: its id, None for anonymous ones."""

    token: str | None
    scopes: frozenset[Scope]


def service_of(request: Request) -> Service:
    """The service that a request goes to."""
    found: Service = request.app.state.service
    return found


def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Caller:
    """The author of a request. Raises AutotuneError for a token that is not valid, and for none where one is needed."""
    service = service_of(request)
    if credentials is None:
        if is_anonymous_allowed(request, service):
            return Caller(None, frozenset((Scope.READ, Scope.SUBMIT)))
        raise AutotuneError(
            "expected a token in the header Authorization: Bearer …, found none; `autotune token create` makes one",
            code="AT901",
        )
    token = service.tokens.check(credentials.credentials)
    if token is None:
        raise AutotuneError(
            "expected a valid token, found one that is unknown, expired or revoked", code="AT901"
        )
    service.usage.count(token.id, requests=1)
    return Caller(token.id, frozenset(token.scopes))


def is_anonymous_allowed(request: Request, service: Service) -> bool:
    """Whether a request without a token is answered: only from loopback itself, and only if asked for."""
    if not service.access.allows_anonymous or request.client is None:
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def needing(scope: Scope) -> Callable[[Caller], Caller]:
    """A dependency: the author of a request, who has a scope. Raises AutotuneError where the token lacks it."""

    def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if scope not in caller.scopes:
            raise AutotuneError(
                f"expected a token with the scope {scope}, found {', '.join(sorted(caller.scopes)) or 'none'}",
                code="AT902",
            )
        return caller

    return check


Here = Annotated[Service, Depends(service_of)]
Reader = Annotated[Caller, Depends(needing(Scope.READ))]
Submitter = Annotated[Caller, Depends(needing(Scope.SUBMIT))]
Administrator = Annotated[Caller, Depends(needing(Scope.ADMIN))]
