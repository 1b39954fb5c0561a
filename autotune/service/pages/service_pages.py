"""The service's own pages as HTML: signing in, models, orders, the queue, results."""

from __future__ import annotations

from autotune.reports.charts import curve_chart
from autotune.reports.tables import operator_table
from autotune.service.bookings import BookingDocument
from autotune.service.documents import JobPage, ModelDocument, Problem, QueueState
from autotune.service.pages.job_facts import Frame
from autotune.service.pages.rendering import narrow_operators, render
from autotune.service.pages.result_tables import engine_table, history_table, verdict_table
from autotune.service.pages.service_facts import ModelFacts, OrderForm, ResultFacts

_TOP_OPERATORS = 10


def sign_in_page(frame: Frame, csrf: str, following: str, message: str | None = None) -> str:
    """The page with the form for a token. following: the path of the page that comes next."""
    return render("sign_in.html.j2", frame, csrf=csrf, following=following, message=message)


def refusal_page(frame: Frame, problem: Problem) -> str:
    """The page that tells why a request was refused."""
    return render("refusal.html.j2", frame, problem=problem)


def models_page(frame: Frame, models: tuple[ModelDocument, ...], csrf: str | None) -> str:
    """The page with the form for a file, and all models. csrf: None for readers."""
    return render("models.html.j2", frame, models=models, csrf=csrf)


def model_page(frame: Frame, facts: ModelFacts) -> str:
    """The page of a model: the first answer, the form for a job, and its history."""
    return render("model.html.j2", frame, facts=facts, history=history_table(facts.history))


def order_page(frame: Frame, order: OrderForm) -> str:
    """The page with the form for a job."""
    return render("order.html.j2", frame, order=order)


def jobs_page(frame: Frame, jobs: JobPage, state: QueueState | None) -> str:
    """The page of jobs, the newest first. state: of all that are shown."""
    return render("jobs.html.j2", frame, jobs=jobs, state=state, states=tuple(QueueState))


def bookings_page(frame: Frame, bookings: tuple[BookingDocument, ...]) -> str:
    """The page of the devices of the cluster, and the jobs that have them."""
    return render("bookings.html.j2", frame, bookings=bookings)


def result_page(frame: Frame, facts: ResultFacts) -> str:
    """The page of a job: where it stands, its verdicts, operators, convergence, failures, downloads."""
    watched = facts.watched
    return render(
        "result.html.j2",
        frame,
        facts=facts,
        job=facts.job,
        verdicts=verdict_table(facts.verdicts),
        engines=engine_table(facts.results.engines),
        operators=narrow_operators(operator_table(watched.report, _TOP_OPERATORS), watched.report)
        if watched
        else None,
        curves=curve_chart(watched.report.curves) if watched else None,
    )
