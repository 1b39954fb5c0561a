"""Signs in messages that the system granted no more memory; the standard library alone, for boards as well."""

from __future__ import annotations

_SIGNS = (
    "bad_alloc",
    "out of memory",
    "out_of_memory",
    "cannot allocate memory",
    "unable to allocate",
    "memory exhausted",
    "memoryerror",
    # Of compilers and linkers whose programs the system ended.
    "signal 9 [killed]",
    "killed signal terminated program",
)
# The loader's words for libraries that were built for another use; there may be memory in plenty.
_OTHERS = ("cannot allocate memory in static tls block",)


def is_memory_shortage(text: str) -> bool:
    """Whether a message of an exception, or the end of what a process wrote, tells of memory that was refused."""
    lowered = text.lower()
    for other in _OTHERS:
        lowered = lowered.replace(other, "")
    return any(sign in lowered for sign in _SIGNS)
