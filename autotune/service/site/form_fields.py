"""The fields of a form that holds no file."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

_MOST_FIELDS = 500


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=_MOST_FIELDS)


FormFields = Annotated[FormData, Depends(_form)]


def text_of(form: FormData, name: str) -> str:
    """A text of a form, empty where there is none."""
    found = form.get(name, "")
    return found.strip() if isinstance(found, str) else ""
