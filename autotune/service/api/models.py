"""Models by REST: what was uploaded, and what is known of it before it is tuned."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from autotune.service.api.access import Here, Reader
from autotune.service.api.json_response import json_response
from autotune.service.documents import DeviceDocument, ModelDocument
from autotune.service.result_documents import HistoryEntry

router = APIRouter(tags=["models"])


@router.get("/devices", response_model=tuple[DeviceDocument, ...])
def list_devices(here: Here, _caller: Reader) -> Response:
    """Lists the devices that jobs can name."""
    return json_response([one.document for one in here.devices()])


@router.get("/models", response_model=tuple[ModelDocument, ...])
def list_models(here: Here, _caller: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
    """Lists the newest models."""
    return json_response(here.shelf.page(limit))


@router.get("/models/{model}", response_model=ModelDocument)
def get_model(here: Here, _caller: Reader, model: str) -> Response:
    """Tells what is known of a model: operators, those that are not supported, and the latency to expect."""
    return json_response(here.shelf.get(model))


@router.get("/models/{model}/history", response_model=tuple[HistoryEntry, ...])
def get_history(here: Here, _caller: Reader, model: str) -> Response:
    """Lists the results of all models of the same name, and tells which are regressions."""
    return json_response(here.jobs.history(here.shelf.row(model).name))
