"""Orders of callers carried out: jobs submitted, gone on with, and their results put together."""

from __future__ import annotations

import msgspec

from autotune.jobs.status_tables import warnings
from autotune.service.documents import JobDocument, JobOrder, ResultDocument
from autotune.service.downloads import download_names
from autotune.service.job_files import expected_secs, needs_by_name, status_of
from autotune.service.job_queue import Submission
from autotune.service.orders import check_order, with_more
from autotune.service.service import Service
from autotune.service.verdicts import verdicts
from search_spaces.errors import Misuse


def submit(
    here: Service, order: JobOrder, token: str | None = None, request_key: str | None = None
) -> JobDocument:
    """Queues a job. Raises Misuse for an order that cannot be run, and where too many jobs wait."""
    name = check_order(order, here.shelf, here.devices(), here.limits)
    if here.queue.waiting() >= here.limits.queued:
        raise Misuse(
            f"expected at most {here.limits.queued} jobs that wait; cancel some, or come back later",
            code="AT905",
        )
    job = here.queue.submit(Submission(name, order, expected_secs(order), token, request_key))
    here.usage.count(token, jobs=1)
    return here.jobs.get(job)


def run_again(here: Service, job: str, time: str | None, trials: int | None) -> JobDocument:
    """Queues a job that is over with more of its budget; it goes on where it ended.

    Raises Misuse for one that waits or runs.
    """
    order = msgspec.json.decode(here.queue.row(job).order_json, type=JobOrder)
    more = with_more(order, time, trials)
    here.queue.again(job, more, expected_secs(more))
    return here.jobs.get(job)


def results(here: Service, job: str) -> ResultDocument:
    """The results of a job as far as it has come."""
    found = here.jobs.get(job)
    status = status_of(here.folder.output(job))
    if status is None:
        return ResultDocument(found, (), {}, (), ())
    return ResultDocument(
        found,
        verdicts(status, needs_by_name(found.order, here.shelf)),
        dict(status.failures),
        tuple(warnings(status)),
        download_names(here.folder, job, status),
    )
