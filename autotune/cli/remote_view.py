"""Documents of a service in a terminal."""

from __future__ import annotations

from autotune.cli.console import note, tell
from autotune.cli.tables import print_table
from autotune.jobs.durations import show_duration, show_interval, show_secs
from autotune.jobs.table import Column, Table
from autotune.service.documents import JobDocument, JobPage, ModelDocument
from autotune.service.result_documents import EngineResult, Miss, OfferVerdict, ResultDocument

_ENGINE_COLUMNS = (
    Column("model", 9, 20),
    Column("device", 8, 16),
    Column("engine", 9),
    Column("latency", 8),
    Column("remark", 7, 20),
)


def print_model(model: ModelDocument) -> None:
    """Prints the first answer to an upload."""
    found = model.examination
    operators = ", ".join(f"{one.count} {one.name}" for one in found.operators[:8])
    tell(f"{model.name} ({model.id}): {operators or 'no operators'}")
    for one in found.unsupported:
        tell(f"not supported: {one.name} at {', '.join(one.nodes)}", "yellow")
    for forecast in found.forecasts:
        if forecast.secs is None or forecast.low_secs is None or forecast.high_secs is None:
            why = forecast.refusal.message if forecast.refusal else "no estimate"
            tell(f"{forecast.device}: {why}", "yellow")
        else:
            tell(
                f"{forecast.device}: {show_interval(forecast.secs, forecast.low_secs, forecast.high_secs)} once tuned"
            )


def job_line(job: JobDocument) -> str:
    """A line about a job."""
    parts = [f"{job.id} {job.state}"]
    if job.position is not None:
        parts.append(
            f"number {job.position} in the queue, expected to start {job.expected_start or 'some time'}"
        )
    else:
        parts += [f"{show_duration(job.run_secs)}", f"{job.trials} trials", job.activity]
    if job.eta_secs:
        parts.append(f"ETA {show_duration(job.eta_secs)}")
    return " · ".join((*parts, *([job.reason] if job.reason else [])))


def print_job(job: JobDocument) -> None:
    """Prints where a job stands."""
    tell(f"{job.name}: {job_line(job)}")


def print_jobs(page: JobPage) -> None:
    """Prints a page of jobs."""
    rows = tuple(
        (one.id, one.name, str(one.state), show_duration(one.run_secs), str(one.trials), one.created)
        for one in page.jobs
    )
    columns = (
        Column("job", 9),
        Column("name", 7, 20),
        Column("state", 9),
        Column("ran", 6),
        Column("trials", 5),
        Column("created", 4),
    )
    print_table(Table("Jobs", columns, rows))


def print_results(found: ResultDocument) -> None:
    """Prints each model on each device with its verdict, and the files to fetch."""
    rows = tuple((one.model, one.device, _latency(one), _verdict(one)) for one in found.verdicts)
    columns = (Column("model", 9, 20), Column("device", 8, 16), Column("latency", 8), Column("verdict", 9))
    print_table(Table(f"{found.job.name}: results", columns, rows))
    if found.engines:
        print_table(Table("Engines", _ENGINE_COLUMNS, tuple(map(_engine_row, found.engines))))
    print_job(found.job)
    for warning in found.warnings:
        note(warning, "yellow")
    for name in found.downloads:
        tell(f"autotune remote package {found.job.id} {name}")
    for package in found.packages:
        where = package.file or package.reason or package.state
        tell(f"{package.form} of {package.model} for {package.device}: {where}")


def _engine_row(one: EngineResult) -> tuple[str, ...]:
    return (
        one.model,
        one.device,
        one.engine,
        _latency(one),
        one.reason or ("fastest" if one.is_fastest else ""),
    )


def _latency(one: OfferVerdict | EngineResult) -> str:
    if one.secs is None or one.low_secs is None or one.high_secs is None:
        return show_secs(one.secs)
    return show_interval(one.secs, one.low_secs, one.high_secs)


def _verdict(one: OfferVerdict) -> str:
    if one.misses:
        return "; ".join(map(_miss, one.misses))
    return "chosen" if one.is_chosen else "holds" if one.secs is not None else "not known yet"


def _miss(one: Miss) -> str:
    found = "not known" if one.found is None else f"{one.found:.4g}"
    return f"{one.need} {found}, needed {one.limit:g}"
