"""Packages by REST: ordered of a job that is over, and downloaded once they are built."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from autotune.service.api.access import Here, Reader, Submitter
from autotune.service.api.json_response import json_response
from autotune.service.documents import FORBID_UNKNOWN
from autotune.service.ordering import order_package
from autotune.service.result_documents import PackageDocument

router = APIRouter(tags=["packages"])


@dataclass(frozen=True)
class NewPackage:
    """A package to build: `wheel`, `archive` or `server`. model, device: names in the job, the first by default."""

    __pydantic_config__ = FORBID_UNKNOWN

    form: str
    model: str | None = None
    device: str | None = None


@router.post("/jobs/{job}/packages", status_code=201, response_model=PackageDocument)
def create_package(here: Here, caller: Submitter, job: str, wanted: NewPackage) -> Response:
    """Queues a package of a job that is over; one that is there already is found."""
    found = order_package(here, job, (wanted.model, wanted.device, wanted.form), caller.token)
    return json_response(found, 201)


@router.get("/jobs/{job}/packages", response_model=tuple[PackageDocument, ...])
def list_packages(here: Here, _caller: Reader, job: str) -> Response:
    """Lists the packages of a job."""
    here.queue.row(job)
    return json_response(here.packages.of_job(job))


@router.get("/jobs/{job}/packages/{package}", response_model=PackageDocument)
def get_package(here: Here, _caller: Reader, job: str, package: str) -> Response:
    """Tells where a package stands."""
    return json_response(here.packages.get(job, package))


@router.get("/jobs/{job}/packages/{package}/file", response_class=FileResponse)
def get_package_file(here: Here, _caller: Reader, job: str, package: str) -> Response:
    """Sends a package that is ready."""
    path = here.packages.path(job, package)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)
