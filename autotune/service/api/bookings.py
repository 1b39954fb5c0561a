"""Bookings by REST: which job has which device of the cluster."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from autotune.service.api.access import Here, Reader
from autotune.service.api.json_response import json_response
from autotune.service.bookings import BookingDocument

router = APIRouter(tags=["bookings"])


@router.get("/bookings", response_model=tuple[BookingDocument, ...])
def list_bookings(here: Here, _caller: Reader) -> Response:
    """Lists the devices of the cluster that jobs run on, and which job has each; none where jobs share no cluster."""
    return json_response(here.bookings())
