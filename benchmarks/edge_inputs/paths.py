"""Names of files and folders, faults of storage, and courtesies: kinds "paths", "errors" and "courtesies"."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import msgspec

from autotune import Budget, TuningLog, run_job
from autotune.jobs.job_file import read_job_file
from autotune.jobs.run import open_job
from autotune.jobs.status import JobState
from autotune.jobs.status_file import read_status, write_status
from autotune.testing.toy_job import SPACES, toy_engine, toy_plan
from edge_inputs.attempt import Attempt, autotune, run_apart
from edge_inputs.forked import autotune_forked
from search_spaces import AutotuneError, Misuse
from search_spaces.errors import StorageError
from tuning_logs import open_log

_PATHS, _ERRORS, _COURTESIES = "paths", "errors", "courtesies"
_TRIALS = 8
_NAMES = (
    "a b", " lead", "trail ", "ünïcode-日本", "e\u0301", "[x]", "[/red]", "{0}", "%s%n", "a%20b", "a#b", "a?b", "$HOME",
    "~", "~root", "-o", "--help", "x\ny", "tab\tbed", "quo'te\"", "back\\slash", "a;b", "a&b", "..x", "...", "*",
    "caf\udce9", "\udcff\udcfe", "\U0001f600", "\u202eevil", "n" * 240,
)  # fmt: skip
_URLS = (
    "http://127.0.0.1:9/fertig-ä", "http://127.0.0.1:9/a b", "http://127.0.0.1:9/a\nb", "http://[::1]:9/", "http://[::1",
    "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://a..b/", "http://bücher.invalid/", "https://127.0.0.1:9/",
    "http://ann:pw@127.0.0.1:9/", "http:///x", "http://\udcff/", "ftp://127.0.0.1:9/", "http://" + "x" * 400,
    "http://127.0.0.1:9/" + "x" * 70_000, "x", "http://%/", "http://\x00/",
)  # fmt: skip
_MIRRORS = (
    "sqlite:////proc/studies.db", "sqlite:////nowhere/x.db", "sqlite:////", "sqlite:////dev/full",
    "postgresql://ann:pw@127.0.0.1:9/x", "postgresql://127.0.0.1:9/x?connect_timeout=1", "mysql://127.0.0.1:9/x",
)  # fmt: skip


def inputs() -> Iterator[Attempt]:
    """All inputs of the three kinds."""
    for name in _NAMES:
        yield Attempt(_PATHS, f"a job's folder {ascii(name)[:40]}, moved and read from /", _moved(name))
    for name in ("a b", "ä%20#?", "-x", "~", "[x]", "caf\udce9"):
        yield Attempt(_PATHS, f"an SQLite log in {name!a}", _database_in(name))
    for key in ("output", "log", "cost_model", "path"):
        yield Attempt(_PATHS, f"a job file with a NUL in {key}", _job_file(key, "a\\u0000b"))
        yield Attempt(_PATHS, f"a job file with a long {key}", _job_file(key, "n" * 300))
    yield Attempt(_PATHS, "a folder through links, its log beside it", _linked)
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE):
        for free_bytes in (0, 3000):
            label = f"{errno.errorcode[code]} in the log after {free_bytes} bytes"
            yield Attempt(_ERRORS, label, _full(code, free_bytes))
    for fault in ("deleted", "replaced", "cut"):
        yield Attempt(_ERRORS, f"a log that is {fault} under a job", _spoiled(fault, "log.jsonl"))
    yield Attempt(_ERRORS, "a database that is deleted under a job", _spoiled("deleted", "store.db"))
    yield Attempt(_ERRORS, "a log that is locked", _locked)
    yield from _commands_on_disks()
    for url in _URLS:
        yield Attempt(_COURTESIES, f"webhook {ascii(url)[:50]}", _with_courtesy(webhook=url))
    for code in (301, 302, 307, 308, 400, 401, 404, 500, 503):
        yield Attempt(_COURTESIES, f"a webhook that answers {code}", _answered(code))
    for url in _MIRRORS:
        yield Attempt(_COURTESIES, f"mirror {url}", _with_courtesy(dashboard=url))


def _moved(name: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        with contextlib.chdir(folder):
            _run_toy(Path(name) / "out")
            _forget_roofline(Path(name) / "out")
            os.rename(name, "else where")
        moved = str(folder / "else where" / "out")
        report = str(folder / "report.html")
        for arguments in (["status", moved], ["report", moved, "-o", report]):
            if fault := autotune_forked(arguments, Path("/")).fault(0):
                return f"{arguments[0]}: {fault}"
        return None

    return run


def _database_in(name: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        (folder / name).mkdir()
        (folder / name / "jobs.toml").write_text(
            'log = "sqlite:///store.db"\nbudget = { trials = 1 }\n[[models]]\npath = "net.onnx"\n'
        )
        (folder / name / "net.onnx").touch()
        with contextlib.chdir(folder):
            try:
                request = read_job_file(Path(name) / "jobs.toml")
            except Misuse as error:
                return None if "UTF-8" in str(error) else str(error)
            open_log(request.log).close()
        return None if (folder / name / "store.db").is_file() else f"not there: {request.log!a}"

    return run


def _job_file(key: str, value: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        top = "" if key == "path" else f'{key} = "{value}"\n'
        model = value if key == "path" else "net.onnx"
        (folder / "jobs.toml").write_text(
            f'{top}budget = {{ trials = 1 }}\n[[models]]\nname = "net"\npath = "{model}"\n'
        )
        (folder / "net.onnx").touch()
        try:
            read_job_file(folder / "jobs.toml")
        except Misuse:
            return None
        return None if key in ("output", "log") and "0000" not in value else "it was taken"

    return run


def _linked(folder: Path) -> str | None:
    (folder / "deep").mkdir()
    (folder / "deep" / "out").mkdir()
    (folder / "link").symlink_to("deep/out")
    with contextlib.chdir(folder):
        plan = toy_plan(Path("link"), Budget(trials=_TRIALS))
        run_job(replace(plan, request=replace(plan.request, log="log.jsonl")), toy_engine(0.0))
        _forget_roofline(Path("link"))
    for out in ("link", "deep/out"):
        ended = autotune_forked(["report", str(folder / out), "-o", str(folder / "x.html")], Path("/"))
        if fault := ended.fault(0):
            return fault
    return None


def _full(code: int, free_bytes: int) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        left, write = [free_bytes], os.write

        def limited(descriptor: int, data: bytes | memoryview) -> int:
            if not left[0]:
                raise OSError(code, os.strerror(code))
            written = write(descriptor, data[: left[0]])
            left[0] -= written
            return written

        with mock.patch.object(os, "write", limited):
            fault = _ends_with(StorageError, lambda: _run_toy(folder))
        if fault or TuningLog.read(folder / "log.jsonl").damage:
            return fault or "the log is damaged"
        _run_toy(folder)
        kept = len(TuningLog.read(folder / "log.jsonl"))
        return None if kept == _TRIALS + len(SPACES) else f"{kept} records after going on"

    return run


def _spoiled(fault: str, name: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        path = folder / name
        plan = toy_plan(folder, Budget(trials=_TRIALS))
        where = f"sqlite:///{path}" if name.endswith(".db") else str(path)
        plan = replace(plan, request=replace(plan.request, log=where))

        def spoil_after_a_round() -> None:
            with open_job(plan, toy_engine(0.0)) as job:
                for _, happened in job.rounds():
                    if happened.records and not (folder / "away").exists():
                        shutil.copy(path, folder / "away")
                        os.truncate(path, 100) if fault == "cut" else path.unlink()
                        if fault == "replaced":
                            shutil.copy(folder / "away", path)

        return _ends_with(StorageError, spoil_after_a_round)

    return run


def _locked(folder: Path) -> str | None:
    with TuningLog.open(folder / "log.jsonl") as log:
        log.append([])
        return _ends_with(StorageError, lambda: _run_toy(folder))


def _commands_on_disks() -> Iterator[Attempt]:
    tune = ["tune", "--op", "matmul:16,16,16", "--trials", "2", "--device", "local?threads=1", "--log"]
    yield Attempt(
        _ERRORS, "tune into /dev/full", lambda folder: autotune([*tune, "/dev/full"], folder).fault(1, 2)
    )
    yield Attempt(
        _ERRORS, "tune into /proc/x", lambda folder: autotune([*tune, "/proc/x"], folder).fault(1, 2)
    )
    yield Attempt(_ERRORS, "no temporary folder", lambda folder: _without_temporary(folder, tune))
    yield Attempt(_ERRORS, "40 open files", lambda folder: _with_limit(folder, tune, "-n 40"))
    if os.geteuid():
        print("errors: full disks need root, and were not tried", file=sys.stderr)
        return
    for part, place in (("log", "small/log.jsonl"), ("temporary folder", "log.jsonl")):
        yield Attempt(_ERRORS, f"a full disk under the {part}", _small_disk([*tune, place]))


def _without_temporary(folder: Path, tune: list[str]) -> str | None:
    ended = autotune([*tune, "log.jsonl"], folder, {"TMPDIR": "/nowhere"})
    return ended.fault(0, 1)


def _with_limit(folder: Path, tune: list[str], limit: str) -> str | None:
    script = f'ulimit {limit}; exec "$@"'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "autotune.cli.main", *tune, "log.jsonl"]
    return run_apart(command, folder, dict(os.environ)).fault(0, 1)


def _small_disk(tune: list[str]) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        small = folder / "small"
        small.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], check=False
        ).returncode:
            print("errors: a small disk cannot be mounted, and was not tried", file=sys.stderr)
            return None
        try:
            (small / "filler").write_bytes(bytes(192 << 10))
            return autotune(tune, folder, {"TMPDIR": str(small)}).fault(1)
        finally:
            subprocess.run(["umount", "-l", small], check=True)

    return run


def _with_courtesy(**courtesy: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        plan = toy_plan(folder, Budget(trials=_TRIALS), **courtesy)
        result = run_job(plan, toy_engine(0.0))
        if result.status.state is not JobState.FINISHED:
            return f"the job is {result.status.state}"
        told = [result.webhook_error] if "webhook" in courtesy else list(result.status.warnings)
        return None if any(told) else "no warning"

    return run


def _answered(code: int) -> Callable[[Path], str | None]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(code)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    def run(folder: Path) -> str | None:
        with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            try:
                return _with_courtesy(webhook=f"http://127.0.0.1:{server.server_port}/{quote('ä')}")(folder)
            finally:
                server.shutdown()

    return run


def _run_toy(folder: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        run_job(toy_plan(folder, Budget(trials=_TRIALS)), toy_engine(0.0))


def _forget_roofline(folder: Path) -> None:
    """A report compares with it by programs of tasks, which those of a toy are not."""
    status = read_status(folder)
    assert status is not None
    devices = tuple(msgspec.structs.replace(one, roofline=None) for one in status.devices)
    write_status(folder, msgspec.structs.replace(status, devices=devices))


def _ends_with(kind: type[AutotuneError], call: Callable[[], object]) -> str | None:
    """The fault in one line where a call does not raise an error of that kind."""
    try:
        call()
    except kind:
        return None
    except (AutotuneError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "it ended well"
