"""Refusals of models as errors."""

from __future__ import annotations

from autotune.service.documents import Refusal
from search_spaces.errors import Misuse


def refused(name: str, refusal: Refusal | None) -> Misuse:
    """The error for a model that its examination refused, with the code of the cause."""
    message = refusal.message if refusal else "its examination gave no reason"
    error = Misuse(f"{name} cannot be tuned: {message}", code="AT910")
    if refusal is not None:
        error.code = refusal.code
    return error
