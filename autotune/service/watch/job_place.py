"""The place of a job to watch: a folder with a status and a log, or a log alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces import Misuse

STATUS = "status.json"
_LOG = "log.jsonl"
_LOG_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class JobPlace:
    """A folder for the status, None where there is only a log; a log file, None where the status names it."""

    folder: Path | None
    log: Path | None

    @property
    def log_path(self) -> Path:
        """The log, or where a job's log is unless its status says otherwise."""
        return self.log or (self.folder or Path()) / _LOG

    @property
    def name(self) -> str:
        """The name of the folder or the file."""
        path = self.folder or self.log
        assert path is not None
        return path.absolute().name


def find_job(path: Path) -> JobPlace:
    """Looks for a job at a path: a job's output folder, a folder with one log, or a log.

    Raises Misuse where there is neither.
    """
    if path.is_file():
        if path.name == STATUS:
            return JobPlace(path.parent, None)
        return JobPlace(None, path)
    logs = [path / _LOG] if (path / _LOG).is_file() else _logs(path)
    if (path / STATUS).is_file():
        return JobPlace(path, None)
    if len(logs) == 1:
        return JobPlace(path, logs[0])
    found = f"{len(logs)} logs and no status.json" if logs else "neither a status.json nor a log.jsonl"
    raise Misuse(
        f"expected the output folder of a job, or a tuning log; found {found} in {path}; "
        "start the job first, or name its folder or the log itself",
        code="AT504",
    )


def _logs(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.name.endswith(_LOG_ENDINGS) and one.is_file())
    except OSError:
        return []
