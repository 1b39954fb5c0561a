"""Files of a job that can be downloaded: its log, status, libraries and report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from autotune.jobs.status import JobStatus
from autotune.service.job_files import status_of
from autotune.service.own_command import CommandFailed, output_of
from autotune.service.service_folder import ServiceFolder
from search_spaces.errors import AutotuneError, Misuse

LOG: Final = "log.jsonl"
STATUS: Final = "status.json"
REPORT: Final = "report.html"
_REPORT_SECS: Final = 300.0


def download_names(folder: ServiceFolder, job: str, status: JobStatus | None) -> tuple[str, ...]:
    """The names of the files of a job, those of its libraries included."""
    if status is None:
        return ()
    output = folder.output(job)
    names = [LOG, STATUS, REPORT]
    names += [path.name for one in status.models if one.library and (path := Path(one.library)).exists()]
    return tuple(name for name in dict.fromkeys(names) if name == REPORT or (output / name).is_file())


def download(folder: ServiceFolder, job: str, name: str) -> Path:
    """The path of a file of a job; a report is written now. Raises Misuse for a name that is none of its files."""
    output = folder.output(job)
    names = download_names(folder, job, status_of(output))
    if name not in names:
        raise Misuse(
            f"expected one of the job's files: {', '.join(names) or 'none yet'}; found {name[:80]!r}",
            code="AT903",
        )
    if name == REPORT:
        _write_report(output)
    return output / name


def _write_report(output: Path) -> None:
    """Writes the report of a job in a process of its own, unless there is one since the last change of its status."""
    path = output / REPORT
    if path.exists() and path.stat().st_mtime >= (output / STATUS).stat().st_mtime:
        return
    try:
        output_of(_REPORT_SECS, "report", str(output), "-o", str(path))
    except CommandFailed as error:
        raise AutotuneError(f"expected a report, found: {error}", code="AT910") from error
