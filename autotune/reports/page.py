"""A report as one HTML file that needs nothing else (imports Jinja)."""

from __future__ import annotations

import shlex

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.status_tables import device_table, model_table, offer_table, warnings
from autotune.reports.charts import (
    curve_chart,
    latency_chart,
    machine_chart,
    quality_chart,
    roofline_chart,
    task_chart,
)
from autotune.reports.report import Report
from autotune.reports.tables import failure_table, operator_table, run_table
from search_spaces.printable_text import printable_value


def page(report: Report) -> str:
    """Renders the report with its charts and tables."""
    status = report.status
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            status=status,
            warnings=warnings(status),
            charts={
                "latency": latency_chart(status.models),
                "curves": curve_chart(report.curves),
                "tasks": task_chart(report.operators),
                "quality": quality_chart(report.quality),
                "machine": machine_chart(status.machine),
            },
            rooflines=[
                (device, roofline_chart(device, report.operators))
                for device in status.devices
                if device.roofline
            ],
            models=model_table(status),
            offers=offer_table(status),
            operators=operator_table(report),
            failures=failure_table(report),
            devices=device_table(status),
            runs=run_table(status),
        )
    )


def _environment() -> Environment:
    # The table macro is the cost models': their evaluation page, further down, uses it too.
    loader = ChoiceLoader([PackageLoader("autotune.reports"), PackageLoader("cost_models.evaluation")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=printable_value
    )
    environment.filters["duration"] = show_duration
    environment.filters["word"] = shlex.quote
    environment.filters["latency"] = show_secs
    return environment
