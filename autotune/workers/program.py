"""The program of worker processes: a fork server and the workers that it forks; none of them outlives the parent.

Started by path, with the file descriptor of its end of a socket to the parent, and the module that its workers need.
That is imported once, before the first fork: a worker is there in milliseconds where a new process takes seconds. A
request for a worker may name another module, variables of its environment, and a scratch directory of the parent's,
which the worker deletes if the parent is killed before it can.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import resource
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from struct import Struct
from types import ModuleType

#: What goes through a worker's status pipe: its process id from itself, later how it ended from the server.
STATUS = Struct("=cq")
STARTED, ENDED = b"s", b"e"

# Where memory runs out, the system ends workers before the process that keeps the log.
_OUT_OF_MEMORY_SCORE = "500"
_MESSAGE_CHARS = 2000
_REQUEST_BYTES = 1 << 20


def serve(connection: Connection, module: str) -> None:
    """Imports the module, then makes calls: takes pickled (function, arguments) until the parent is gone.

    Each of them, the import first, is answered by a pickled ("value", result) or ("raised", text).
    """
    reply = _reply(partial(_import, module))
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send_bytes(reply)
            request = connection.recv_bytes()
            reply = _reply(partial(_call, request))


def _import(module: str) -> None:
    importlib.import_module(module)


def _call(request: bytes) -> object:
    function, arguments = pickle.loads(request)
    return function(*arguments)


def _reply(call: Callable[[], object]) -> bytes:
    try:
        return pickle.dumps(("value", call()))
    except Exception as error:  # noqa: BLE001 - whatever the call raises is the parent's to judge
        return pickle.dumps(("raised", _describe(error)))


def _describe(error: BaseException) -> str:
    """The error's type and text; of a long text the end, where compilers put the reason."""
    text = str(error).strip()
    if len(text) > _MESSAGE_CHARS:
        text = "… " + text[-_MESSAGE_CHARS:]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _leave_with_parent(descriptor: int, scratch: Sequence[str]) -> None:
    """Cleans up and ends the process when the parent is gone, even while a kernel hangs in the main thread."""
    watch = select.poll()
    watch.register(descriptor, select.POLLRDHUP)
    watch.poll()
    for directory in scratch:
        shutil.rmtree(directory, ignore_errors=True)
    # TVM's own threads may be stuck in a kernel; there is nothing here worth an orderly shutdown.
    os._exit(0)


def _work(descriptor: int, module: str, scratch: Sequence[str]) -> None:
    """Serves the parent at the other end of the socket until it is gone."""
    leaving = threading.Thread(target=_leave_with_parent, args=(descriptor, scratch), daemon=True)
    leaving.start()
    serve(Connection(descriptor), module)
    leaving.join()


def _fork_on_request(requests: socket.socket) -> None:
    """Forks a worker for each message, which brings its socket, its output and its status pipe; tells how each ended.

    Returns when the parent is gone.
    """
    statuses: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    watch = select.poll()
    watch.register(woken, select.POLLIN)
    watch.register(requests, select.POLLIN)
    while True:
        for ready, _ in watch.poll():
            if ready == woken:
                os.read(woken, 4096)
                _tell_ends(statuses)
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
            if not message:
                _wake(statuses)
                return
            connection, output, status = descriptors
            request = json.loads(message)
            _import_for_workers(request["module"])
            pid = os.fork()
            if pid == 0:
                inherited = (woken, wake, requests.detach(), *statuses.values())
                _become_worker(output, status, inherited)
                os.environ.update(request["environment"])
                _work(connection, request["module"], request["scratch"])
                os._exit(0)
            os.close(connection)
            os.close(output)
            statuses[pid] = status


def _become_worker(output: int, status: int, inherited: Sequence[int]) -> None:
    """Closes the server's descriptors, redirects output, and writes the process id to `status`."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_OUT_OF_MEMORY_SCORE)
    os.write(status, STATUS.pack(STARTED, os.getpid()))
    for descriptor in (output, status, *inherited):
        os.close(descriptor)


def _wake(workers: Iterable[int]) -> None:
    """Continues workers that the parent has stopped, so that they see that it is gone."""
    for pid in workers:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGCONT)


def _tell_ends(statuses: dict[int, int]) -> None:
    """Reaps workers that have ended, and writes their exit status to their pipes; statuses: the pipes by process id."""
    while statuses:
        pid, wait_status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        status = statuses.pop(pid)
        # The parent may have closed its end.
        with suppress(BrokenPipeError):
            os.write(status, STATUS.pack(ENDED, os.waitstatus_to_exitcode(wait_status)))
        os.close(status)


def import_for_good(module: str) -> ModuleType:
    """Imports a module for the life of the process, without garbage collection: next to nothing of it is garbage, and
    frozen objects are not copied by workers. TVM loads a fifth of a second faster this way."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _import_for_workers(module: str) -> None:
    """Ignores errors: the worker imports the module as well, and replies with what it raises."""
    if module not in sys.modules:
        with suppress(Exception):
            import_for_good(module)


def main(descriptor: int, module: str) -> None:
    """Serves the parent at the other end of the socket."""
    # Ctrl-C is the parent's to handle; a crashed kernel leaves a message, not a core file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _import_for_workers(module)
    _fork_on_request(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
