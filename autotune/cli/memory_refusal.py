"""The error of a command that its limit on memory stops, whichever exception that surfaces as."""

from __future__ import annotations

import errno
import mmap
import resource
from collections.abc import Iterator, Sequence

from autotune.workers.memory_shortage import is_memory_shortage
from search_spaces.errors import AutotuneError, last_line

# What loading TVM and XGBoost takes beyond the rest: a process that is refused this much cannot have gone far.
_PROBE_BYTES = 512 << 20
_LIMITS = {"address space (ulimit -v)": resource.RLIMIT_AS, "data (ulimit -d)": resource.RLIMIT_DATA}
_UNLOADED = "failed to map segment"
# With less, XGBoost was seen to hang instead of failing, OpenBLAS to end the process, Python to lose its last words.
_LEAST_BYTES = {resource.RLIMIT_AS: 1200 << 20, resource.RLIMIT_DATA: 384 << 20}
_SMALL_COMMANDS = frozenset({"explain", "status", "report", "log", "doctor", "devices"})


def require_memory(arguments: Sequence[str]) -> None:
    """Raises AutotuneError where a command that loads TVM may not use the memory that this takes."""
    names = [one for one in arguments if not one.startswith("-")]
    if not names or names[0] in _SMALL_COMMANDS or "--help" in arguments:
        return
    for kind, least in _LEAST_BYTES.items():
        most, _ = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY and most < least:
            raise AutotuneError(
                f"expected at least {least >> 20} MiB of memory, found {_limit()}; raise the limit",
                code="AT807",
            )


def memory_refusal(error: Exception) -> AutotuneError | None:
    """The error to show instead, None where memory is not what was missing."""
    chain = list(_chain(error))
    told = any(isinstance(one, MemoryError) or is_memory_shortage(str(one)) for one in chain)
    unloaded = any(_UNLOADED in str(one) for one in chain)
    if isinstance(error, AutotuneError) and not unloaded:
        return None
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOMEM, errno.EAGAIN):
        return None
    if not told and not _is_refused(_PROBE_BYTES):
        return None
    reason = next((last_line(one) for one in chain if _UNLOADED in str(one)), last_line(error))
    return AutotuneError(
        f"expected memory to work with, found {_limit()}: {reason}; raise the limit, or use a machine with more",
        code="AT807",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_refused(size: int) -> bool:
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return True
    return False


def _limit() -> str:
    """The limits of this process in words."""
    found = {name: resource.getrlimit(kind)[0] for name, kind in _LIMITS.items()}
    limits = [f"{size >> 20} MiB of {name}" for name, size in found.items() if size != resource.RLIM_INFINITY]
    return f"a limit of {' and '.join(limits)}" if limits else "that the system grants no more"
