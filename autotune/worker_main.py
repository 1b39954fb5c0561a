"""The program of a worker process: it takes calls from its parent, one at a time, and never outlives it.

Started by path, with the file descriptor of its end of a socket pair, and the parent's scratch directory, if there
is one, which it deletes if the parent is killed before it can.
"""

from __future__ import annotations

import os
import pickle
import resource
import select
import shutil
import signal
import sys
import threading
from multiprocessing.connection import Connection

_MESSAGE_CHARS = 2000


def serve(connection: Connection) -> None:
    """Takes pickled (function, arguments) and answers ("value", result) or ("raised", text)."""
    while True:
        try:
            request = connection.recv_bytes()
        except (EOFError, ConnectionError):
            return
        try:
            function, arguments = pickle.loads(request)
            reply = pickle.dumps(("value", function(*arguments)))
        except Exception as error:  # noqa: BLE001 - whatever the call raises is the parent's to judge
            reply = pickle.dumps(("raised", _describe(error)))
        connection.send_bytes(reply)


def _describe(error: BaseException) -> str:
    """The error's type and text; of a long text its end, where compilers put the reason."""
    text = str(error).strip()
    if len(text) > _MESSAGE_CHARS:
        text = "… " + text[-_MESSAGE_CHARS:]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _leave_with_parent(descriptor: int, scratch: list[str]) -> None:
    """Cleans up and ends the process when the parent is gone, even while a kernel hangs in the main thread."""
    watch = select.poll()
    watch.register(descriptor, select.POLLRDHUP)
    watch.poll()
    for directory in scratch:
        shutil.rmtree(directory, ignore_errors=True)
    # TVM's own threads may be stuck in a kernel; there is nothing here worth an orderly shutdown.
    os._exit(0)


def main(descriptor: int, scratch: list[str]) -> None:
    """Serves the parent at the other end of the socket."""
    # Ctrl-C is the parent's to handle; a crashed kernel leaves a message, not a core file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    leaving = threading.Thread(target=_leave_with_parent, args=(descriptor, scratch), daemon=True)
    leaving.start()
    serve(Connection(descriptor))
    leaving.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
