"""Pages as HTML, by templates that escape every text (imports Jinja)."""

from __future__ import annotations

import shlex
from functools import cache, partial
from importlib.resources import files
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.status_tables import device_table, model_table, offer_table, show_factor, warnings
from autotune.jobs.table import Table
from autotune.reports.charts import (
    curve_chart,
    drift_chart,
    latency_chart,
    machine_chart,
    quality_chart,
    roofline_chart,
    task_chart,
    trial_chart,
)
from autotune.reports.report import OperatorQuality, Report
from autotune.reports.tables import operator_table, run_table
from autotune.service.pages import answers
from autotune.service.pages.job_facts import Frame, JobFacts, OperatorFacts
from search_spaces.printable_text import printable_value

_TOP_OPERATORS = 10
# The least importance of columns on the first page.
_IMPORTANT = 4
#: Operators that a page lists: the lighter ones hold next to nothing of the time.
_MOST_OPERATORS = 300


def overview_page(frame: Frame, job: JobFacts) -> str:
    """The page that answers the first questions on a job."""
    report = job.report
    return render(
        "overview.html.j2",
        frame,
        job=job,
        status=report.status,
        warnings=_warnings(job),
        operators=narrow_operators(operator_table(report, _TOP_OPERATORS), report),
        models=model_table(report.status),
        offers=offer_table(report.status),
        charts={
            "latency": latency_chart(report.status.models),
            "curves": curve_chart(report.curves),
            "tasks": task_chart(report.operators),
        },
    )


def operators_page(frame: Frame, job: JobFacts) -> str:
    """The page of all operators, with the rooflines of the devices."""
    devices = job.report.status.devices
    rooflines = [(device, roofline_chart(device, job.report.operators)) for device in devices]
    return render(
        "operators.html.j2",
        frame,
        job=job,
        operators=_on_one_device(operator_table(job.report, _MOST_OPERATORS), job.report),
        hidden=max(len(job.report.operators) - _MOST_OPERATORS, 0),
        rooflines=[(device, chart) for device, chart in rooflines if chart],
    )


def operator_page(frame: Frame, facts: OperatorFacts) -> str:
    """The page of one operator on one device."""
    points = facts.space.quality if facts.space else ()
    quality = quality_chart([OperatorQuality(facts.operator.name, points)]) if points else None
    return render("operator.html.j2", frame, facts=facts, picture=trial_chart(facts.trials), quality=quality)


def failures_page(frame: Frame, job: JobFacts) -> str:
    """The page of failures by kind."""
    return render("failures.html.j2", frame, job=job, status=job.report.status)


def machine_page(frame: Frame, job: JobFacts) -> str:
    """The page of the devices and the machine over time."""
    status = job.report.status
    return render(
        "machine.html.j2",
        frame,
        job=job,
        status=status,
        devices=device_table(status),
        runs=run_table(status),
        charts={"machine": machine_chart(status.machine), "drift": drift_chart(job.log.drift.points)},
    )


def problem_page(frame: Frame, message: str) -> str:
    """A page that says in a sentence why there is no other."""
    return render("problem.html.j2", frame, message=message)


@cache
def style_sheet() -> str:
    """The style sheet of all pages: the charts' and their own."""
    charts = files("autotune.reports") / "templates" / "charts.css"
    return charts.read_text("utf-8") + (files(__package__) / "templates" / "pages.css").read_text("utf-8")


@cache
def script() -> str:
    """The script of all pages: it brings the parts of a page that changed up to date."""
    return (files(__package__) / "templates" / "pages.js").read_text("utf-8")


def narrow_operators(table: Table, report: Report) -> Table:
    """A table of operators with what matters most."""
    return _on_one_device(table, report).without(
        lambda one: one.importance < _IMPORTANT and one.name != "device"
    )


def render(template: str, frame: Frame, **values: object) -> str:
    """A page by a template of this package, with the frame and the values that it names."""
    return _environment().get_template(template).render(frame=frame, answers=answers, **values)


def _on_one_device(table: Table, report: Report) -> Table:
    """The operators without a column for their device, where there is only one."""
    is_single = len(report.status.devices) == 1
    return table.without(lambda one: is_single and one.name == "device")


def _warnings(job: JobFacts) -> list[str]:
    found = [*warnings(job.report.status)]
    if job.trouble:
        found.insert(0, job.trouble)
    if job.log.trouble:
        found.insert(0, job.log.trouble)
    if job.log.damage:
        found.append(
            f"{len(job.log.damage)} lines of the log cannot be read and are left out, the first: {job.log.damage[0]}"
        )
    return found


def _when(utc: str) -> str:
    """A time in ISO 8601 for people.

    >>> _when("2026-01-02T03:04:05Z")
    '2026-01-02 03:04 UTC'
    """
    return f"{utc[:16].replace('T', ' ')} UTC"


def _bytes(size: int) -> str:
    """A size for people.

    >>> _bytes(4_950_000)
    '5.0 MB'
    """
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


@cache
def _environment() -> Environment:
    loader = ChoiceLoader([PackageLoader("autotune.service.pages"), PackageLoader("cost_models.evaluation")])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = show_duration
    environment.filters["latency"] = show_secs
    environment.filters["factor"] = show_factor
    environment.filters["when"] = _when
    environment.filters["bytes"] = _bytes
    environment.filters["word"] = shlex.quote
    environment.filters["path_part"] = partial(quote, safe="", errors="replace")
    return environment
