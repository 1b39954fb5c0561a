"""A model's file from a browser's form to the disk, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from anyio import to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from autotune.service.service import Service
from autotune.service.site.file_form import FileData, FileForm, FileStart, FormField, Part
from autotune.service.site.visitor import Visitor
from autotune.service.uploads import AppendedFile, UploadRequest
from search_spaces.errors import Misuse

# Of a form around its file: fields, headers and boundaries.
_FORM_BYTES: Final = 1 << 16
# Of a refused request this much is still read, so that the browser shows the refusal rather than a lost connection.
_DRAINED_BYTES: Final = 64 << 20


@dataclass
class _Open:
    """An upload under way."""

    upload: str
    file: AppendedFile


async def receive(request: Request, here: Service, visitor: Visitor) -> str:
    """Stores the file of a form, and returns the id of the model that it became.

    The form begins with the field that proves its origin. Raises Misuse for what is no such form, for an empty or too
    large file, and where the browser gave up; then nothing is kept.
    """
    body = request.stream()
    begun: list[_Open] = []
    try:
        most_bytes = _announced_bytes(request, here.limits.upload_bytes)
        form = FileForm(request.headers.get("content-type", ""))
        is_checked = False
        async for chunk in body:
            for part in form.feed(chunk):
                if isinstance(part, FormField) and part.name == "csrf":
                    visitor.check(part.value)
                    is_checked = True
                elif not isinstance(part, FormField):
                    if not is_checked:
                        visitor.check(None)
                    await to_thread.run_sync(_take, here, visitor, part, begun, most_bytes)
        if not begun:
            raise Misuse("expected a file, found none; choose a model's file", code="AT911")
        return await to_thread.run_sync(_complete, here, visitor, begun)
    except ClientDisconnect as error:
        raise Misuse("expected a whole file, found that the connection was lost", code="AT907") from error
    finally:
        for one in begun:
            await to_thread.run_sync(_discard, here, one)
        await _drain(body)


def _announced_bytes(request: Request, most: int) -> int:
    text = request.headers.get("content-length", "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise Misuse("expected a form that tells its length, found none", code="AT911")
    if int(text) > most + _FORM_BYTES:
        raise Misuse(
            f"expected a file of 1 to {most} bytes, found about {int(text)}; an administrator can raise the limit",
            code="AT905",
        )
    return min(int(text), most)


def _take(here: Service, visitor: Visitor, part: Part, begun: list[_Open], most_bytes: int) -> None:
    token = visitor.caller.token if visitor.caller else None
    match part:
        case FileStart(name):
            if begun:
                raise Misuse("expected one file, found several; pack them into a .zip", code="AT911")
            upload = here.uploads.begin(UploadRequest(name, most_bytes), token).id
            begun.append(_Open(upload, here.uploads.open(upload, 0)))
        case FileData(data) if begun:
            begun[-1].file.write(data)


def _complete(here: Service, visitor: Visitor, begun: list[_Open]) -> str:
    one = begun[-1]
    one.file.close()
    if visitor.caller:
        here.usage.count(visitor.caller.token, upload_bytes=one.file.size)
    model = here.uploads.settle(one.upload).model
    begun.clear()
    assert model is not None
    return model


def _discard(here: Service, one: _Open) -> None:
    one.file.close()
    here.uploads.discard(one.upload)


async def _drain(body: AsyncIterator[bytes]) -> None:
    left = _DRAINED_BYTES
    try:
        async for chunk in body:
            left -= len(chunk)
            if left < 0:
                return
    except (ClientDisconnect, RuntimeError):  # it gave up, or all has been read
        return
