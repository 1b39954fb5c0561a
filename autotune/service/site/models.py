"""Pages of models: uploaded by a form, examined, ordered."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from autotune.service.api.access import Here
from autotune.service.api.events import changed_events, stream
from autotune.service.documents import ModelState
from autotune.service.job_list import JobFilter
from autotune.service.pages.service_facts import ModelFacts
from autotune.service.pages.service_pages import model_page, models_page, order_page
from autotune.service.site.file_upload import receive
from autotune.service.site.order_fields import order_form
from autotune.service.site.responses import frame_for, page, redirect
from autotune.service.site.visitor import ReadingVisitor, SubmittingVisitor

router = APIRouter()

_LISTED = 200
_NEWEST = 20


@router.get("/models")
def list_models(request: Request, here: Here, visitor: ReadingVisitor) -> Response:
    """Shows all models, and the form for another one."""
    frame = frame_for(visitor, "Models", "Models")
    csrf = visitor.csrf if visitor.can_submit else None
    return page(request, visitor, models_page(frame, here.shelf.page(_LISTED), csrf))


@router.post("/models")
async def upload_model(request: Request, here: Here, visitor: SubmittingVisitor) -> Response:
    """Stores a file of a form as a model, and leads to its page."""
    return redirect(f"/models/{await receive(request, here, visitor)}")


@router.get("/models/{model}")
def get_model(request: Request, here: Here, visitor: ReadingVisitor, model: str) -> Response:
    """Shows what is known of a model, and the form for a job."""
    found = here.shelf.get(model)
    is_open = found.state is ModelState.EXAMINING
    can_order = visitor.can_submit and found.state is ModelState.READY
    facts = ModelFacts(
        found,
        here.jobs.history(found.name),
        here.jobs.page(JobFilter(model=model), _NEWEST),
        order_form(here, visitor, (found,)) if can_order else None,
    )
    frame = frame_for(visitor, found.name, "Models", f"/models/{model}/events" if is_open else None)
    return page(request, visitor, model_page(frame, facts))


@router.get("/models/{model}/events")
async def follow_model(request: Request, here: Here, visitor: ReadingVisitor, model: str) -> Response:
    """Tells whenever more is known of a model, until all is."""
    await to_thread.run_sync(here.shelf.get, model)
    token = visitor.caller.token if visitor.caller else None

    def look() -> tuple[object, bool]:
        now = here.shelf.get(model)
        return now, now.state is not ModelState.EXAMINING

    return stream(request, here, changed_events(here, token, look))


@router.get("/order")
def get_order(
    request: Request,
    here: Here,
    visitor: SubmittingVisitor,
    model: Annotated[list[str] | None, Query(max_length=64)] = None,
) -> Response:
    """Shows the form for a job of several models."""
    if not model:
        return redirect("/models")
    models = tuple(here.shelf.get(one) for one in dict.fromkeys(model))
    frame = frame_for(visitor, "Order", "Models")
    return page(request, visitor, order_page(frame, order_form(here, visitor, models)))
