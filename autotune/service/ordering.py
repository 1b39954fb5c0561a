"""Orders of callers carried out: jobs submitted, gone on with, and their results put together."""

from __future__ import annotations

import msgspec

from autotune.jobs.status_tables import warnings
from autotune.packaging.forms import FORMS
from autotune.service.documents import JobDocument, JobOrder, QueueState
from autotune.service.downloads import download_names
from autotune.service.engine_comparison import read_engines
from autotune.service.job_files import expected_secs, needs_by_name, status_of
from autotune.service.job_queue import Submission
from autotune.service.orders import check_order, with_more
from autotune.service.packages import PackageOrder
from autotune.service.result_documents import PackageDocument, ResultDocument
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


def order_package(
    here: Service, job: str, names: tuple[str | None, str | None, str], token: str | None = None
) -> PackageDocument:
    """Queues a package of a job that is over. names: of the model and the device in the job, the first ones by default,
    and of the form. Raises Misuse where there are none of these names, or where the job is not over."""
    row = here.queue.row(job)
    order = msgspec.json.decode(row.order_json, type=JobOrder)
    models, devices = tuple(needs_by_name(order, here.shelf)), order.devices
    model, device, form = names[0] or models[0], names[1] or devices[0], names[2]
    for what, name, known in (("model", model, models), ("device", device, devices), ("form", form, FORMS)):
        if name not in known:
            raise Misuse(f"expected a {what} of {', '.join(known)}; found {name[:80]!r}", code="AT747")
    if not QueueState(row.state).is_over or status_of(here.folder.output(job)) is None:
        raise Misuse(
            f"expected a job that is over and has results, found {job} {row.state}; wait for it", code="AT746"
        )
    return here.packages.order(PackageOrder(job, model, device, form), row.finished or 0.0, token)


def results(here: Service, job: str) -> ResultDocument:
    """The results of a job as far as it has come."""
    found = here.jobs.get(job)
    status = status_of(here.folder.output(job))
    if status is None:
        return ResultDocument(found, (), {}, (), ())
    engines = read_engines(here.folder.output(job))
    trouble = () if engines.refusal is None else (f"engines were not compared: {engines.refusal.message}",)
    return ResultDocument(
        found,
        verdicts(status, needs_by_name(found.order, here.shelf)),
        dict(status.failures),
        (*warnings(status), *trouble),
        download_names(here.folder, job, status),
        engines.results,
        here.packages.of_job(job),
    )
