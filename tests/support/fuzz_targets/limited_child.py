"""A forked child with limits of time and memory, for native code that may crash, hang or eat the memory."""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable

_SECS = 20
_BYTES = 8 << 30


def in_limited_child(call: Callable[[], None]) -> None:
    """Makes the call in a child. Raises AssertionError where that ends otherwise than by returning."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
            # The fuzzer has handlers of its own, which would report the child as itself.
            for number in (signal.SIGALRM, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(_SECS)
            call()
            code = 0
        except BaseException:  # noqa: BLE001  the parent is told by the exit status
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
