"""The fields of the form for a job, and the order that they make."""

from __future__ import annotations

import math
import re
import secrets
from typing import Final

from starlette.datastructures import FormData

from autotune.service.documents import JobOrder, ModelDocument, ModelOrder, Needs
from autotune.service.pages.service_facts import OrderForm
from autotune.service.service import Service
from autotune.service.site.form_fields import text_of
from autotune.service.site.visitor import Visitor
from search_spaces.errors import Misuse

_KEY: Final = re.compile(r"[0-9a-f]{32}")
_KEPT: Final = (
    "name", "time", "trials", "latency_ms", "throughput_per_second", "dollars_per_million", "dims", "more_devices",
    "engine",
)  # fmt: skip
_FIRST_VALUES: Final = {"time": "30m"}


def order_form(
    here: Service,
    visitor: Visitor,
    models: tuple[ModelDocument, ...],
    typed: FormData | None = None,
    message: str | None = None,
) -> OrderForm:
    """The form for a job of models. typed: what was sent before, with the message why it was refused."""
    devices = tuple(one.document for one in here.devices())
    if typed is None:
        return OrderForm(models, devices, visitor.csrf, secrets.token_hex(16), _FIRST_VALUES)
    values = {name: text_of(typed, name) for name in _KEPT}
    chosen = tuple(str(one) for one in typed.getlist("device"))
    return OrderForm(models, devices, visitor.csrf, secrets.token_hex(16), values, chosen, message)


def order_of(form: FormData) -> JobOrder:
    """The order of a form. Raises Misuse for fields that are no numbers."""
    devices = [str(one) for one in form.getlist("device")]
    devices += text_of(form, "more_devices").replace(",", " ").split()
    needs = needs_of(form)
    dims = dims_of(text_of(form, "dims"))
    return JobOrder(
        tuple(ModelOrder(str(one), dims=dims, needs=needs) for one in form.getlist("model")),
        tuple(dict.fromkeys(devices)),
        text_of(form, "time") or None,
        whole_of(form, "trials"),
        name=text_of(form, "name") or None,
        engines=tuple(dict.fromkeys(str(one) for one in form.getlist("engine"))),
    )


def request_key(form: FormData) -> str | None:
    """The key of a form, which is sent once even if its button is pressed twice."""
    key = text_of(form, "key")
    return key if _KEY.fullmatch(key) else None


def needs_of(form: FormData) -> Needs:
    """The needs of a form. Raises Misuse for what is no number."""
    return Needs(
        number_of(form, "latency_ms"),
        number_of(form, "throughput_per_second"),
        number_of(form, "dollars_per_million"),
    )


def number_of(form: FormData, name: str) -> float | None:
    """A positive number of a form, None where the field is empty. Raises Misuse for anything else."""
    text = text_of(form, name)
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise Misuse(f"{name} is a positive number; found {text[:40]!r}", code="AT911")
    return found


def whole_of(form: FormData, name: str) -> int | None:
    """A whole number of a form, None where the field is empty. Raises Misuse for anything else."""
    text = text_of(form, name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Misuse(f"{name} is a whole number; found {text[:40]!r}", code="AT911")
    return int(text)


def dims_of(text: str) -> dict[str, int | str]:
    """Sizes of free dimensions, as in `batch=1 length=1..128`. Raises Misuse for anything else."""
    found: dict[str, int | str] = {}
    for word in text.replace(",", " ").split():
        name, is_there, size = word.partition("=")
        if not (name and is_there and size):
            raise Misuse(f"sizes are written batch=1 length=1..128; found {word[:40]!r}", code="AT105")
        found[name] = int(size) if size.isascii() and size.isdecimal() and len(size) < 16 else size
    return found
