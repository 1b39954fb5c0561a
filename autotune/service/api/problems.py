"""Errors of requests as problem details (RFC 9457), with the codes of the command line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from autotune.service.documents import Problem
from search_spaces.errors import AutotuneError, Misuse, StorageUnreachable
from search_spaces.printable_text import one_line

MEDIA_TYPE: Final = "application/problem+json"
_STATUSES: Final[dict[str, int]] = {
    "AT901": HTTPStatus.UNAUTHORIZED,
    "AT902": HTTPStatus.FORBIDDEN,
    "AT903": HTTPStatus.NOT_FOUND,
    "AT904": HTTPStatus.CONFLICT,
    "AT905": 413,
    "AT906": HTTPStatus.FORBIDDEN,
    "AT907": HTTPStatus.CONFLICT,
    "AT911": HTTPStatus.UNPROCESSABLE_ENTITY,
    "AT807": HTTPStatus.INSUFFICIENT_STORAGE,
}
#: Statuses of requests that no endpoint takes, with their codes.
_CODES: Final = {401: "AT901", 403: "AT902", 404: "AT903", 413: "AT905"}
_MOST_DETAIL: Final = 2000


def problem(error: AutotuneError) -> Response:
    """The response to a request that raised an error."""
    return problem_of(error.code, str(error), _status(error))


def problem_of(code: str, detail: str, status: int) -> Response:
    """A response with problem details; the detail is one printable line."""
    title = HTTPStatus(status).phrase
    found = Problem(f"urn:autotune:{code}", title, status, one_line(detail)[:_MOST_DETAIL], code)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(msgspec.json.encode(found), status, headers, MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Has an application answer every error with problem details."""
    app.add_exception_handler(AutotuneError, _of_autotune)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_defect)


async def _of_autotune(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AutotuneError)
    return problem(error)


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(map(_fault, error.errors()[:5]))
    return problem_of("AT911", f"the request does not fit: {faults}", HTTPStatus.UNPROCESSABLE_ENTITY)


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "AT911")
    return problem_of(code, f"the request was refused: {error.detail}", error.status_code)


async def _of_defect(_request: Request, error: Exception) -> Response:
    # The text may hold what is nobody's business; the trace is in the server's log.
    return problem_of("AT002", f"the server met an unforeseen {type(error).__name__}", 500)


def _fault(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}"


def _status(error: AutotuneError) -> int:
    if error.code in _STATUSES:
        return _STATUSES[error.code]
    if isinstance(error, StorageUnreachable):
        return int(HTTPStatus.SERVICE_UNAVAILABLE)
    return int(HTTPStatus.BAD_REQUEST if isinstance(error, Misuse) else HTTPStatus.INTERNAL_SERVER_ERROR)
