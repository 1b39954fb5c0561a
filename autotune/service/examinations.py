"""Examinations of uploaded models, each by a confined process that is ready before it is needed."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

import msgspec

from autotune.service.documents import Examination, Refusal
from autotune.service.examiner import IN, OUT, READY
from autotune.service.job_process import worker_environment
from autotune.service.known_devices import KnownDevice
from autotune.service.limits import ExaminationLimits
from autotune.service.model_shelf import ARCHIVE, ModelShelf
from autotune.service.service_folder import ServiceFolder

_COMMAND: Final = (sys.executable, "-m", "autotune.service.examiner")
_MOST_LINE_BYTES: Final = 4 << 20
_MOST_LINES: Final = 1000
# It was ended by something outside: the model may not be to blame.
_TRIES: Final = 3
# Until a process is ready, which loads what reads models and estimates.
_READY_SECS: Final = 120.0
_READER_SECS: Final = 1.0
_SIGNALS: Final = {
    signal.SIGXCPU: "it took too much time of the processor",
    signal.SIGXFSZ: "it wrote too large a file",
    signal.SIGSEGV: "a parser crashed",
    signal.SIGABRT: "a parser gave up, most likely for want of memory",
}


@dataclass
class _Examiner:
    """A process, the model that it reads, and its answers so far."""

    process: subprocess.Popen[bytes]
    folder: Path
    answers: queue.SimpleQueue[bytes]
    reader: threading.Thread
    began: float
    is_ready: bool = False
    model: str | None = None
    last: Examination = field(default_factory=Examination)


class Examinations:
    """Examines the models of a shelf. devices: of which each is told a forecast; clock: monotonic seconds."""

    def __init__(
        self,
        shelf: ModelShelf,
        folder: ServiceFolder,
        limits: ExaminationLimits,
        devices: Callable[[], tuple[KnownDevice, ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shelf, self._folder, self._limits = shelf, folder, limits
        self._devices, self._clock = devices, clock
        self._examiner: _Examiner | None = None
        self._tries: dict[str, int] = {}
        self._number = 0
        shutil.rmtree(folder.examining, ignore_errors=True)

    def step(self) -> None:
        """Takes answers, hands out the next model, and keeps a process ready. Raises StorageError of the store."""
        one = self._examiner
        if one is None:
            one = self._examiner = self._start()
        self._take(one)
        if self._examiner is None:
            return
        if one.process.poll() is not None or self._is_late(one):
            one.reader.join(_READER_SECS)
            self._take(one)
            if self._examiner is not None:
                self._settle(one)
        elif one.model is None and (waiting := self._shelf.unexamined()):
            self._assign(one, waiting[0])

    def close(self) -> None:
        """Ends the process; the model that it reads is examined by the next server."""
        if self._examiner is not None:
            self._end(self._examiner)
            self._examiner = None

    def _start(self) -> _Examiner:
        self._number += 1
        folder = self._folder.examining / str(self._number)
        for name in (IN, OUT):
            (folder / name).mkdir(parents=True)
        if os.geteuid() == 0:
            # The process becomes a user without rights, who needs a place to write.
            (folder / OUT).chmod(0o777)
        process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
            env={**worker_environment(os.environ), "OMP_NUM_THREADS": "1"},
        )
        answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, answers), daemon=True)
        reader.start()
        # Of a new folder the devices are known later: the process starts meanwhile.
        _write(process, msgspec.json.encode(self._devices()))
        return _Examiner(process, folder, answers, reader, self._clock())

    def _assign(self, one: _Examiner, model: str) -> None:
        name = self._shelf.row(model).file
        source = self._folder.model(model) / name
        # Readable for the user that the process becomes; the folders above keep other users out.
        source.chmod(0o644)
        os.link(source, one.folder / IN / name)
        one.model, one.began = model, self._clock()
        _write(one.process, name.encode())

    def _take(self, one: _Examiner) -> None:
        newest = None
        while not one.answers.empty():
            line = one.answers.get()
            if line == READY:
                one.is_ready = True
                one.began = self._clock()
                continue
            try:
                newest = msgspec.json.decode(line, type=Examination)
            except msgspec.MsgspecError:
                continue
        if newest is None or one.model is None:
            return
        one.last = newest
        if newest.is_complete:
            self._complete(one, newest)
        else:
            self._shelf.note(one.model, newest)

    def _complete(self, one: _Examiner, found: Examination) -> None:
        assert one.model is not None
        if self._shelf.row(one.model).file.endswith(ARCHIVE) and not found.refusal:
            content = self._folder.model(one.model) / "content"
            shutil.rmtree(content, ignore_errors=True)
            if not move_plain_files(one.folder / OUT / "content", content):
                found = _refused(found, Refusal("AT910", "the archive was not unpacked to plain files"))
        self._shelf.note(one.model, found)
        self._tries.pop(one.model, None)
        self._end(one)
        self._examiner = None

    def _is_late(self, one: _Examiner) -> bool:
        if not one.is_ready:
            return self._clock() - one.began > _READY_SECS
        return one.model is not None and self._clock() - one.began > self._limits.secs

    def _settle(self, one: _Examiner) -> None:
        """Refuses the model of a process that has ended before its answer was complete, or has it tried again."""
        is_late = one.process.poll() is None
        code = one.process.returncode or 0
        self._end(one)
        self._examiner = None
        if one.model is None:
            return
        tries = self._tries[one.model] = self._tries.get(one.model, 0) + 1
        if code == -signal.SIGKILL and not is_late and tries < _TRIES:
            return
        why = f"it took longer than {self._limits.secs:g} s" if is_late else _reason(code)
        refusal = Refusal("AT910", f"the model could not be examined: {why}; export a smaller or simpler one")
        self._shelf.note(one.model, _refused(one.last, refusal))
        self._tries.pop(one.model)

    def _end(self, one: _Examiner) -> None:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        assert one.process.stdin is not None
        one.process.stdin.close()
        shutil.rmtree(one.folder, ignore_errors=True)


def move_plain_files(source: Path, goal: Path) -> bool:
    """Moves a folder; False, and nothing is moved, where it holds anything but folders and plain files."""
    for folder, folders, files in os.walk(source):
        for name in (*folders, *files):
            mode = (Path(folder) / name).lstat().st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                return False
            # They may be those of a user without rights.
            (Path(folder) / name).chmod(0o755 if stat.S_ISDIR(mode) else 0o644)
    shutil.move(source, goal)
    return True


def _refused(found: Examination, refusal: Refusal) -> Examination:
    return replace(found, refusal=refusal, is_complete=True)


def _reason(code: int) -> str:
    if code >= 0:
        return f"the process that read it ended with exit code {code}"
    return _SIGNALS.get(
        signal.Signals(-code), f"the process that read it was ended by {signal.Signals(-code).name}"
    )


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Sends a line to a process; one that has ended is seen by the next step."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(line + b"\n")
        process.stdin.flush()


def _read(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Passes on the lines of a process that may write anything, up to a limit."""
    with stream:
        for _ in range(_MOST_LINES):
            line = stream.readline(_MOST_LINE_BYTES)
            if not line:
                return
            answers.put(line)
