"""Errors of requests as problem details (RFC 9457), with the codes of the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    "AT745": HTTPStatus.FORBIDDEN,
    "AT746": HTTPStatus.CONFLICT,
    "AT747": HTTPStatus.UNPROCESSABLE_ENTITY,
    "AT807": HTTPStatus.INSUFFICIENT_STORAGE,
}
#: Statuses of requests that no endpoint takes, with their codes.
_CODES: Final = {401: "AT901", 403: "AT902", 404: "AT903", 413: "AT905"}
_MOST_DETAIL: Final = 2000


#: Makes the response to a request that a problem ended.
Answer = Callable[[Request, Problem], Response]


def problem_of(error: AutotuneError) -> Problem:
    """The problem that an error is."""
    return described(error.code, str(error), _status(error))


def described(code: str, detail: str, status: int) -> Problem:
    """A problem; the detail is one printable line."""
    title = HTTPStatus(status).phrase
    return Problem(f"urn:autotune:{code}", title, status, one_line(detail)[:_MOST_DETAIL], code)


def json_problem(found: Problem) -> Response:
    """A response with problem details."""
    headers = {"WWW-Authenticate": "Bearer"} if found.status == HTTPStatus.UNAUTHORIZED else None
    return Response(msgspec.json.encode(found), found.status, headers, MEDIA_TYPE)


def answer_problems(app: FastAPI, answer: Answer) -> None:
    """Has an application answer every error as a problem."""
    for kind, describe in (
        (AutotuneError, _of_autotune),
        (RequestValidationError, _of_validation),
        (HTTPException, _of_http),
        (Exception, _of_defect),
    ):
        app.add_exception_handler(kind, _answering(describe, answer))


def _answering(
    describe: Callable[[Exception], Problem], answer: Answer
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return answer(request, describe(error))

    return handle


def _of_autotune(error: Exception) -> Problem:
    assert isinstance(error, AutotuneError)
    return problem_of(error)


def _of_validation(error: Exception) -> Problem:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(map(_fault, error.errors()[:5]))
    return described("AT911", f"the request does not fit: {faults}", HTTPStatus.UNPROCESSABLE_ENTITY)


def _of_http(error: Exception) -> Problem:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "AT911")
    return described(code, f"the request was refused: {error.detail}", error.status_code)


def _of_defect(error: Exception) -> Problem:
    # The text may hold what is nobody's business; the trace is in the server's log.
    return described("AT002", f"the server met an unforeseen {type(error).__name__}", 500)


def _fault(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}"


def _status(error: AutotuneError) -> int:
    if error.code in _STATUSES:
        return _STATUSES[error.code]
    if isinstance(error, StorageUnreachable):
        return int(HTTPStatus.SERVICE_UNAVAILABLE)
    return int(HTTPStatus.BAD_REQUEST if isinstance(error, Misuse) else HTTPStatus.INTERNAL_SERVER_ERROR)
