"""Uploads by REST: begun, sent in parts of any size, and resumed where they were interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from autotune.service.api.access import Here, Reader, Submitter
from autotune.service.api.json_response import json_response
from autotune.service.documents import FORBID_UNKNOWN, UploadDocument
from autotune.service.uploads import UploadRequest

router = APIRouter(tags=["uploads"])

RequestKey = Annotated[str | None, Header(alias="Idempotency-Key", max_length=60, pattern="^[A-Za-z0-9_-]+$")]


@dataclass(frozen=True)
class NewUpload:
    """A file to be uploaded: its name, its size, and its SHA-256 in hexadecimal digits, if it is to be compared."""

    __pydantic_config__ = FORBID_UNKNOWN

    name: str
    bytes: int
    sha256: str | None = None


@router.post("/uploads", status_code=201, response_model=UploadDocument)
def begin_upload(here: Here, caller: Submitter, wanted: NewUpload, key: RequestKey = None) -> Response:
    """Begins an upload; the same request again, by its Idempotency-Key, finds the same upload."""
    request = UploadRequest(wanted.name, wanted.bytes, wanted.sha256)
    return json_response(here.uploads.begin(request, caller.token, own_key(caller.token, key)), 201)


@router.get("/uploads/{upload}", response_model=UploadDocument)
def get_upload(here: Here, _caller: Reader, upload: str) -> Response:
    """Tells how much of an upload is stored, and which model it became."""
    return json_response(here.uploads.get(upload))


@router.patch("/uploads/{upload}", response_model=UploadDocument)
async def append_to_upload(
    request: Request,
    here: Here,
    caller: Submitter,
    upload: str,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0)],
) -> Response:
    """Appends the body to an upload, from the offset that is stored; with its last byte it becomes a model."""
    file = await to_thread.run_sync(here.uploads.open, upload, offset)
    try:
        async for chunk in request.stream():
            await to_thread.run_sync(file.write, chunk)
    except ClientDisconnect:
        pass  # what has come stays
    finally:
        await to_thread.run_sync(file.close)
        here.usage.count(caller.token, upload_bytes=file.size - offset)
    return json_response(await to_thread.run_sync(here.uploads.complete, upload))


def own_key(token: str | None, key: str | None) -> str | None:
    """The key of a request, apart from those of other tokens."""
    return None if key is None else f"{token or 'anonymous'}:{key}"
