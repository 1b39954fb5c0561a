"""Jobs by REST: submitted, listed, cancelled, gone on with; their results and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import FileResponse, Response

from autotune.service.api.access import Here, Reader, Submitter
from autotune.service.api.json_response import json_response
from autotune.service.api.uploads import RequestKey, own_key
from autotune.service.documents import FORBID_UNKNOWN, JobDocument, JobOrder, JobPage, QueueState
from autotune.service.downloads import STATUS, download
from autotune.service.job_list import JobFilter
from autotune.service.ordering import results, run_again, submit
from autotune.service.result_documents import ResultDocument

router = APIRouter(tags=["jobs"])


@dataclass(frozen=True)
class MoreBudget:
    """A budget that is added to that of a job."""

    __pydantic_config__ = FORBID_UNKNOWN

    time: str | None = None
    trials: int | None = None


@router.post("/jobs", status_code=201, response_model=JobDocument)
def submit_job(here: Here, caller: Submitter, order: JobOrder, key: RequestKey = None) -> Response:
    """Queues a job; the same request again, by its Idempotency-Key, finds the same job."""
    return json_response(submit(here, order, caller.token, own_key(caller.token, key)), 201)


@router.get("/jobs", response_model=JobPage)
def list_jobs(
    here: Here,
    _caller: Reader,
    state: QueueState | None = None,
    model: Annotated[str | None, Query(max_length=16)] = None,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Lists jobs, the newest first; `next` of one page is `before` of the next."""
    return json_response(here.jobs.page(JobFilter(state, model, before), limit))


@router.get("/jobs/{job}", response_model=JobDocument)
def get_job(here: Here, _caller: Reader, job: str) -> Response:
    """Tells where a job stands."""
    return json_response(here.jobs.get(job))


@router.post("/jobs/{job}/cancel", response_model=JobDocument)
def cancel_job(here: Here, _caller: Submitter, job: str) -> Response:
    """Cancels a job; one that runs ends after the round under way, and what it has found stays."""
    here.queue.cancel(job)
    return json_response(here.jobs.get(job))


@router.post("/jobs/{job}/again", response_model=JobDocument)
def go_on_with_job(here: Here, _caller: Submitter, job: str, more: MoreBudget) -> Response:
    """Queues a job that is over with more time or more trials; it goes on where it ended."""
    return json_response(run_again(here, job, more.time, more.trials))


@router.get("/jobs/{job}/results", response_model=ResultDocument)
def get_results(here: Here, _caller: Reader, job: str) -> Response:
    """Holds each model on each device against its needs, as far as the job has come."""
    return json_response(results(here, job))


@router.get("/jobs/{job}/status", response_model=dict[str, Any])
def get_status(here: Here, _caller: Reader, job: str) -> Response:
    """Sends the status of the job's engine, the same as `status.json` of `autotune run`."""
    here.queue.row(job)
    return Response(download(here.folder, job, STATUS).read_bytes(), media_type="application/json")


@router.get("/jobs/{job}/files/{name}", response_class=FileResponse)
def get_file(here: Here, _caller: Reader, job: str, name: str) -> Response:
    """Sends a file of a job: `log.jsonl`, `status.json`, `report.html`, or one of its libraries."""
    here.queue.row(job)
    path = download(here.folder, job, name)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)
