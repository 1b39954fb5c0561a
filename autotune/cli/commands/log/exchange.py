"""`autotune log export`, `import`, `push` and `pull`: records in other forms and places."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import MOST_CONFIGS, JsonOption
from autotune.cli.console import print_json, tell, warn
from autotune.cli.log_arguments import LogArgument, read
from autotune.deployment.isolated_import import import_apart
from autotune.devices.device_url import parse_device
from search_spaces import AutotuneError, Misuse
from search_spaces.printable_text import counted
from tuning_logs import RecordStore, TuningLog, open_log
from tuning_logs.address import is_url, without_password
from tuning_logs.exchange.metaschedule_export import export_metaschedule
from tuning_logs.exchange.transfer import copy_records

UrlArgument = Annotated[
    str, typer.Argument(metavar="URL", help="A database: postgresql://user@host/name or sqlite:///file.")
]


class ExportFormat(StrEnum):
    """A format that logs are exported to."""

    METASCHEDULE = "metaschedule"
    PARQUET = "parquet"


class ImportFormat(StrEnum):
    """A format that records are imported from."""

    METASCHEDULE = "metaschedule"


def export(
    log: LogArgument,
    output: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes; a file for parquet.")],
    to: Annotated[ExportFormat, typer.Option("--to", help="Into what.")],
    top: Annotated[
        int,
        typer.Option("--top", min=1, max=MOST_CONFIGS, help="How many configs of each task (metaschedule)."),
    ] = 1,
    json: JsonOption = False,
) -> None:
    """Write a log as MetaSchedule databases, one per target and device, or as a Parquet table."""
    store = read(log)
    if to is ExportFormat.PARQUET:
        _write_parquet(store, output)
        print_json({"output": str(output), "records": len(store)}) if json else tell(
            f"{output}: {len(store)} rows"
        )
        return
    databases = export_metaschedule(store, output, top)
    if json:
        rows = [
            {
                "folder": str(each.folder),
                "target": each.target,
                "device": each.device.key,
                "records": each.records,
                "left_out": list(each.left_out),
            }
            for each in databases
        ]
        print_json({"databases": rows})
        return
    for each in databases:
        tell(f"{each.folder}: {counted(each.records, 'record')} for {each.target} on {each.device.name}")
        for reason in each.left_out:
            warn(f"left out: {reason}")


def import_(
    log: LogArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with databases, or folders of them.")
    ],
    source: Annotated[ImportFormat, typer.Option("--from", help="Out of what.")],
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Where they were measured, as in local; by default what the folder says."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Append the records of MetaSchedule databases whose schedules are in our search spaces to a log."""
    found = import_apart(folder, parse_device(device).fingerprint if device else None)
    with TuningLog.in_memory() as imported, open_log(log) as store:
        imported.append(found.records)
        added = copy_records(imported, store)
    if json:
        print_json(
            {"log": log, "records": len(found.records), "added": added, "left_out": dict(found.left_out)}
        )
        return
    tell(
        f"{without_password(log)}: {counted(added, 'record')} added, {len(found.records) - added} were there"
    )
    for reason, number in found.left_out.most_common():
        warn(f"{number} left out: {reason}")


def push(log: LogArgument, url: UrlArgument, json: JsonOption = False) -> None:
    """Copy the records of a log that a team's database does not have yet into it."""
    _expect_url(url)
    with open_log(url) as into:
        _report(copy_records(read(log), into), url, json)


def pull(
    url: UrlArgument,
    log: Annotated[str, typer.Argument(metavar="LOG", help="A log file; made where there is none.")],
    json: JsonOption = False,
) -> None:
    """Copy the records of a team's database that a log does not have yet into it."""
    _expect_url(url)
    with open_log(log) as into:
        _report(copy_records(read(url), into), log, json)


def _report(added: int, where: str, json: bool) -> None:
    print_json({"added": added}) if json else tell(
        f"{counted(added, 'record')} added to {without_password(where)}"
    )


def _expect_url(url: str) -> None:
    if not is_url(url):
        raise Misuse(
            f"expected postgresql://user@host/database or sqlite:///file, found {url!r}", code="AT209"
        )


def _write_parquet(store: RecordStore, output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        store.to_pandas().to_parquet(output, index=False)
    except ImportError as error:
        raise Misuse(
            "expected pyarrow, which writes Parquet; found none: pip install pyarrow", code="AT802"
        ) from error
    except OSError as error:
        raise AutotuneError(
            f"expected to write {output}, found: {error.strerror}; name another file",
            code="AT803",
        ) from error
