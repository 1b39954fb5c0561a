"""Pages of jobs: ordered by a form, listed with their places in the queue, cancelled, gone on with; their results."""

from __future__ import annotations

from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import FileResponse, Response

from autotune.service.api.access import Here
from autotune.service.api.events import changed_events, stream
from autotune.service.api.uploads import own_key
from autotune.service.documents import JobPage, ModelDocument, QueueState
from autotune.service.downloads import STATUS, download
from autotune.service.job_files import needs_by_name
from autotune.service.job_list import JobFilter
from autotune.service.ordering import order_package, results, run_again, submit
from autotune.service.pages.service_facts import ResultFacts
from autotune.service.pages.service_pages import jobs_page, order_page, result_page
from autotune.service.service import Service
from autotune.service.site.form_fields import FormFields, text_of
from autotune.service.site.order_fields import order_form, order_of, request_key, whole_of
from autotune.service.site.responses import frame_for, page, redirect
from autotune.service.site.suppositions import prices_of, supposed
from autotune.service.site.visitor import ReadingVisitor, SubmittingVisitor
from search_spaces.errors import AutotuneError, Misuse

router = APIRouter()

_LISTED: Final = 50


@router.post("/jobs")
def submit_job(request: Request, here: Here, visitor: SubmittingVisitor, form: FormFields) -> Response:
    """Queues the job of a form, and leads to its page; shows the form again where it is refused."""
    visitor.check(form.get("csrf"))
    assert visitor.caller is not None
    token = visitor.caller.token
    try:
        job = submit(here, order_of(form), token, own_key(token, request_key(form)))
    except Misuse as error:
        models = _models(here, form)
        frame = frame_for(visitor, "Order", "Models")
        text = order_page(frame, order_form(here, visitor, models, form, str(error)))
        return page(request, visitor, text, 422)
    return redirect(f"/jobs/{job.id}")


@router.get("/jobs")
def list_jobs(
    request: Request,
    here: Here,
    visitor: ReadingVisitor,
    state: QueueState | None = None,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
) -> Response:
    """Shows jobs, the newest first."""
    found = here.jobs.page(JobFilter(state, None, before), _LISTED)
    frame = frame_for(visitor, "Jobs", "Jobs", None if before else "/jobs/events")
    return page(request, visitor, jobs_page(frame, found, state))


@router.get("/jobs/events")
async def follow_jobs(request: Request, here: Here, visitor: ReadingVisitor) -> Response:
    """Tells whenever a job of the first page has changed."""

    def look() -> tuple[JobPage, bool]:
        return here.jobs.page(JobFilter(), _LISTED), False

    return stream(request, here, changed_events(here, _token(visitor), look))


@router.get("/jobs/{job}")
def get_job(request: Request, here: Here, visitor: ReadingVisitor, job: str) -> Response:
    """Shows where a job stands, and its results."""
    found = results(here, job)
    reader = request.app.state.watched.reader(here, job)
    watched = reader.facts() if (here.folder.output(job) / STATUS).exists() else None
    status = watched.report.status if watched else None
    facts = ResultFacts(
        found,
        watched,
        visitor.csrf if visitor.can_submit else None,
        supposed(request.query_params, status, found),
        prices_of(status),
        tuple(needs_by_name(found.job.order, here.shelf)),
    )
    is_open = not found.job.state.is_over or any(one.state.is_pending for one in found.packages)
    frame = frame_for(visitor, found.job.name, "Jobs", f"/jobs/{job}/events" if is_open else None)
    return page(request, visitor, result_page(frame, facts))


@router.get("/jobs/{job}/events")
async def follow_job(request: Request, here: Here, visitor: ReadingVisitor, job: str) -> Response:
    """Tells whenever a job has changed, until it is over."""
    await to_thread.run_sync(here.jobs.get, job)

    def look() -> tuple[object, bool]:
        found, packages = here.jobs.get(job), here.packages.of_job(job)
        is_building = any(one.state.is_pending for one in packages)
        return (found, packages), found.state.is_over and not is_building

    return stream(request, here, changed_events(here, _token(visitor), look))


@router.post("/jobs/{job}/cancel")
def cancel_job(here: Here, visitor: SubmittingVisitor, form: FormFields, job: str) -> Response:
    """Cancels a job."""
    visitor.check(form.get("csrf"))
    here.queue.cancel(job)
    return redirect(f"/jobs/{here.jobs.get(job).id}")


@router.post("/jobs/{job}/again")
def go_on_with_job(here: Here, visitor: SubmittingVisitor, form: FormFields, job: str) -> Response:
    """Queues a job that is over with more of its budget."""
    visitor.check(form.get("csrf"))
    run_again(here, job, text_of(form, "time") or None, whole_of(form, "trials"))
    return redirect(f"/jobs/{here.jobs.get(job).id}")


@router.post("/jobs/{job}/packages")
def create_package(here: Here, visitor: SubmittingVisitor, form: FormFields, job: str) -> Response:
    """Queues a package of a job that is over."""
    visitor.check(form.get("csrf"))
    names = (text_of(form, "model"), text_of(form, "device"), text_of(form, "form"))
    found = order_package(here, job, names, _token(visitor))
    return redirect(f"/jobs/{found.job}#files")


@router.get("/jobs/{job}/packages/{package}")
def get_package(here: Here, _visitor: ReadingVisitor, job: str, package: str) -> Response:
    """Sends a package that is ready."""
    path = here.packages.path(job, package)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.get("/jobs/{job}/files/{name}")
def get_file(here: Here, _visitor: ReadingVisitor, job: str, name: str) -> Response:
    """Sends a file of a job."""
    here.queue.row(job)
    path = download(here.folder, job, name)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def _models(here: Service, form: FormData) -> tuple[ModelDocument, ...]:
    """The models that a form names, without those that there are not."""
    found = []
    for model in dict.fromkeys(str(one) for one in form.getlist("model")):
        try:
            found.append(here.shelf.get(model))
        except AutotuneError:
            continue
    return tuple(found)


def _token(visitor: ReadingVisitor) -> str | None:
    return visitor.caller.token if visitor.caller else None
