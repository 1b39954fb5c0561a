"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from autotune.jobs.device_choice import verdict
from autotune.jobs.durations import show_duration
from autotune.jobs.status import JobStatus, Latency, ModelStatus, Offer
from autotune.reports.charts import (
    curve_chart,
    latency_chart,
    machine_chart,
    quality_chart,
    roofline_chart,
    task_chart,
)
from autotune.reports.report import OperatorReport, Report

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 1060px; margin: 2em auto; padding: 0 1em; }
h1 { margin-bottom: 0; } h2 { margin-top: 2em; border-bottom: 1px solid #d8dee4; padding-bottom: .2em; }
.lead { font-size: 1.25em; } .quiet { color: #57606a; } .warning { background: #fff8c5; padding: .5em .8em; }
table { border-collapse: collapse; width: 100%; font-size: .9em; }
th, td { padding: .3em .6em; text-align: right; border-bottom: 1px solid #eaeef2; }
td { white-space: nowrap; } td:last-child, td.long { white-space: normal; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7em; }
section { overflow-x: auto; }
pre { background: #f6f8fa; padding: .8em; overflow-x: auto; } svg.chart { width: 100%; height: auto; }
.bar { background: #ddf4ff; display: inline-block; height: .8em; vertical-align: middle; }
"""
_LONG = ' class="long"'


def page(report: Report) -> str:
    """The whole file."""
    status = report.status
    sections = [
        _head(status),
        _section("Latency", latency_chart(status.models), _models(status.models)),
        _section("Which device", None, _offers(status.offers)),
        _section("Where the time goes", None, _operators(report.operators)),
        _section("How it came about", curve_chart(report.curves), task_chart(report.operators)),
        *[
            _section(
                f"What {escape(device.name)} can do at most",
                roofline_chart(device, report.operators),
                _roofline_words(device.roofline.flops_per_sec) if device.roofline else None,
            )
            for device in status.devices
        ],
        _section("Failures", None, _failures(report)),
        _section("The cost model", quality_chart(report.quality), _quality_words(report)),
        _section("Environment", machine_chart(status.machine), _environment(status)),
        _section("How to use the log again", None, _usage(status)),
    ]
    title = escape(f"{status.name}: tuning report")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body>'
        + "\n".join(section for section in sections if section)
        + "</body></html>\n"
    )


def _head(status: JobStatus) -> str:
    measured = [one for one in status.models if one.before and one.after]
    lines = [
        f"<b>{escape(one.name)}</b> on {escape(one.device)} runs "
        f"<b>{one.before.secs / one.after.secs:.2f} times as fast</b>: "
        f"{_ms(one.before)} before, {_ms(one.after)} now."
        for one in measured
        if one.before and one.after
    ] or ["No model was measured as a whole in this job."]
    warnings = [*(one.warning for one in status.devices), *status.warnings]
    notes = "".join(f'<p class="warning">{escape(one)}</p>' for one in warnings if one)
    return (
        f'<h1>{escape(status.name)}</h1><p class="quiet">{escape(status.state)} · {show_duration(status.secs)} in '
        f"{len(status.runs)} runs · {status.trials} trials of {len(status.tasks)} tasks · as of "
        f"{escape(status.updated[:16].replace('T', ' '))} UTC</p>"
        f'<p class="lead">{"<br>".join(lines)}</p>{notes}'
    )


def _section(title: str, *parts: str | None) -> str:
    found = [part for part in parts if part]
    return f"<section><h2>{title}</h2>{''.join(found)}</section>" if found else ""


def _models(models: Sequence[ModelStatus]) -> str:
    rows = [
        [
            f"{one.name} on {one.device}",
            _interval(one.before),
            _interval(one.after),
            _factor(one.before.secs / one.after.secs if one.before and one.after else None),
            _time(one.estimated_start_secs),
            _time(one.estimated_secs),
            {True: "equal", False: "DIFFERENT", None: "–"}[one.outputs_equal],
        ]
        for one in models
    ]
    columns = ["model", "before", "after", "faster by", "tasks untuned", "tasks now", "outputs"]
    words = (
        '<p class="quiet">Before and after are builds of the whole model, run in turns in this job: median and 95 % '
        "interval. The sums of the tasks are estimates; they leave out what happens between operators.</p>"
    )
    return words + _table(columns, rows)


def _offers(offers: Sequence[Offer]) -> str | None:
    """What each model costs where; nothing where there is neither a choice nor a price nor a need."""
    is_choice = len({one.connection for one in offers}) > 1
    if not is_choice and not any(one.price_per_hour or one.needed_secs for one in offers):
        return None
    rows = [
        [
            one.model,
            one.device,
            _time(one.secs),
            "the whole model" if one.is_measured else "the sum of its tasks",
            "–" if one.price_per_hour is None else f"{one.price_per_hour:g}",
            "–" if one.price_per_million is None else f"{one.price_per_million:.3g}",
            _time(one.needed_secs),
            verdict(one),
        ]
        for one in offers
    ]
    columns = [
        "model",
        "device",
        "latency",
        "measured",
        "price per hour",
        "per million runs",
        "needed",
        "verdict",
    ]
    words = (
        '<p class="quiet">Prices are those of devices.toml, and of inferences one after the other. Chosen is the '
        "cheapest device on which the model is as fast as needed, by the upper end of its latency's interval; of "
        "equally cheap ones the fastest.</p>"
    )
    return words + _table(columns, rows)


def _operators(operators: Sequence[OperatorReport]) -> str:
    rows = [
        [
            one.name,
            one.device,
            str(one.calls),
            f'<span class="bar" style="width:{60 * one.share:.0f}px"></span> {one.share:.1%}',
            _time(one.default_secs),
            _time(one.best_secs),
            _factor(one.gain),
            "–" if not one.flops_per_sec else f"{one.flops_per_sec / 1e9:.1f}",
            "–" if one.peak_share is None else f"{one.peak_share:.0%} ({one.bound})",
            str(one.trials),
            _confidence(one.winner_p_value),
            escape(one.schedule),
        ]
        for one in operators
    ]
    columns = ["operator", "device", "calls", "share", "untuned", "now", "gain", "GFLOP/s", "of the peak"]
    words = (
        '<p class="quiet">Share: of the estimated time of all operators of the device. Of the peak: the least time '
        "that the measured roofline allows over the best one found, and what bounds it; operators whose data stays "
        "in a cache can exceed it. Winner: whether the best is faster than the next beyond luck.</p>"
    )
    return words + _table([*columns, "trials", "winner", "the build uses"], rows, raw={3, 11})


def _failures(report: Report) -> str:
    if not report.failures:
        return "<p>No trial failed.</p>"
    rows = [[one.kind, str(one.count), "<br>".join(map(escape, one.messages))] for one in report.failures]
    crashes = report.status.crashes
    words = f"<p>{crashes} trials took their worker process along; each was replaced.</p>" if crashes else ""
    return words + _table(["kind", "trials", "for example"], rows, raw={2})


def _quality_words(report: Report) -> str | None:
    if not report.quality:
        return '<p class="quiet">Too few trials to judge it.</p>'
    return (
        '<p class="quiet">For the heaviest tasks: a model is fitted to the first trials and puts the next 32 in order; '
        "shown is the share of pairs that it gets right. 0.5 is luck. The search picks what the model likes, so the "
        "trials become harder to tell apart.</p>"
    )


def _roofline_words(flops_per_sec: float) -> str:
    return (
        f'<p class="quiet">Measured at the start of the job: {flops_per_sec / 1e9:.0f} GFLOP/s in a large float32 '
        "matrix product, and the copying speeds shown, by the size of the data.</p>"
    )


def _environment(status: JobStatus) -> str:
    rows = [
        [
            one.name,
            one.connection,
            one.target,
            ", ".join(f"{key} {value}" for key, value in one.facts.items()),
        ]
        for one in status.devices
    ]
    runs = [
        [one.started[:19].replace("T", " "), show_duration(one.secs), one.state.value] for one in status.runs
    ]
    versions = ", ".join(f"{name} {version}" for name, version in status.versions.items())
    return (
        _table(["device", "connection", "target", "facts"], rows)
        + _table(["run started, UTC", "took", "ended"], runs)
        + f"<p>{escape(versions)}</p>"
    )


def _usage(status: JobStatus) -> str:
    lines = [
        f"autotune build {one.path} --log {status.log} --device '{one.device}' --output {one.name}.so"
        for one in status.models
        if one.path
    ]
    lines += [f"autotune log show {status.log}", f"autotune log best {status.log}"]
    python = (
        "import autotune\n"
        'model = autotune.load("MODEL.so")          # a library of this job\n'
        "outputs = model(*inputs)"
    )
    return f"<pre>{escape(chr(10).join(lines))}</pre><pre>{escape(python)}</pre>"


def _table(
    columns: Iterable[str], rows: Sequence[Sequence[str]], raw: frozenset[int] | set[int] = frozenset()
) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_LONG if len(cell) > 60 else ''}>{cell if place in raw else escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _ms(latency: Latency) -> str:
    return f"{1e3 * latency.secs:.3g} ms"


def _interval(latency: Latency | None) -> str:
    if latency is None:
        return "–"
    return f"{_ms(latency)} ({1e3 * latency.low_secs:.3g} to {1e3 * latency.high_secs:.3g})"


def _time(secs: float | None) -> str:
    if secs is None:
        return "–"
    return f"{1e3 * secs:.3g} ms" if secs >= 1e-3 else f"{1e6 * secs:.3g} µs"


def _factor(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:.2f}×"


def _confidence(p_value: float | None) -> str:
    if p_value is None:
        return "–"
    return f"sure (p = {p_value:.3f})" if p_value < 0.05 else "a tie"
