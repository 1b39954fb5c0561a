"""The page of bookings: which job has which device of the cluster."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from autotune.service.api.access import Here
from autotune.service.pages.service_pages import bookings_page
from autotune.service.site.responses import frame_for, page
from autotune.service.site.visitor import ReadingVisitor

router = APIRouter()


@router.get("/bookings")
def list_bookings(request: Request, here: Here, visitor: ReadingVisitor) -> Response:
    """Shows the devices of the cluster, and which job has each."""
    frame = frame_for(visitor, "Bookings", "Bookings")
    return page(request, visitor, bookings_page(frame, here.bookings()))
