"""What can go wrong for a user, in one family of exceptions."""


class AutotuneError(Exception):
    """Something the user or the world did wrong: says what was expected, what was found and what to do next."""


class Misuse(AutotuneError):
    """The request itself cannot be carried out as it was put: wrong file, wrong flag, wrong name."""


class IllegalSchedule(AutotuneError):
    """The config answers every question, yet no program can be built from it; the message is the reason."""


def last_line(error: BaseException) -> str:
    """The last line of an exception's text, which is where TVM and LLVM put the reason; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
