"""Exceptions that users see."""


class AutotuneError(Exception):
    """Base class of errors that a user can act on: what was expected, what was found, what to do next.

    code: of the cause, the same in all versions, as in AT101; `autotune explain` says more about each.
    """

    code = "AT001"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Misuse(AutotuneError):
    """The request itself cannot be carried out as it was put: wrong file, wrong flag, wrong name."""


class StorageError(AutotuneError):
    """A log, a database or a folder does not take or give what it should: no device is to blame, and what is measured
    from now on would be lost."""


class StorageUnreachable(StorageError):
    """A database does not answer, as while it restarts or the network is gone: it may, later."""


class StorageRefused(StorageError):
    """A database refuses values, as text that is no Unicode or a number out of its range: it would do so again, while
    other values may be stored."""


class IllegalSchedule(AutotuneError):
    """The config answers every question, yet no program can be built from it; the message is the reason."""

    code = "AT601"


def last_line(error: BaseException) -> str:
    """The last line of an exception's text, which is where TVM and LLVM put the reason; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
