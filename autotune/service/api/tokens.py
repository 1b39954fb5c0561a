"""Tokens by REST, for administrators."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from autotune.jobs.durations import parse_secs
from autotune.service.api.access import Administrator, Here
from autotune.service.api.json_response import json_response
from autotune.service.documents import FORBID_UNKNOWN
from autotune.service.token_documents import NewToken, Scope, TokenDocument

router = APIRouter(tags=["tokens"])


@dataclass(frozen=True)
class TokenRequest:
    """A token to make; valid: how long, as in 30d, None for ever."""

    __pydantic_config__ = FORBID_UNKNOWN

    name: str
    scopes: tuple[Scope, ...]
    valid: str | None = None


@router.post("/tokens", status_code=201, response_model=NewToken)
def create_token(here: Here, _caller: Administrator, wanted: TokenRequest) -> Response:
    """Makes a token; its secret is in this answer alone."""
    secs = parse_secs(wanted.valid) if wanted.valid else None
    return json_response(here.tokens.create(wanted.name, wanted.scopes, secs), 201)


@router.get("/tokens", response_model=tuple[TokenDocument, ...])
def list_tokens(here: Here, _caller: Administrator) -> Response:
    """Lists all tokens, without their secrets."""
    return json_response(here.tokens.all())


@router.get("/tokens/{token}", response_model=TokenDocument)
def get_token(here: Here, _caller: Administrator, token: str) -> Response:
    """Tells about a token and its use by day."""
    here.usage.flush()
    return json_response(here.tokens.get(token))


@router.post("/tokens/{token}/revoke", response_model=TokenDocument)
def revoke_token(here: Here, _caller: Administrator, token: str) -> Response:
    """Makes a token invalid from now on."""
    return json_response(here.tokens.revoke(token))


@router.post("/tokens/{token}/rotate", status_code=201, response_model=NewToken)
def rotate_token(here: Here, _caller: Administrator, token: str) -> Response:
    """Makes a token like another one, which is invalid from now on."""
    return json_response(here.tokens.rotate(token), 201)
