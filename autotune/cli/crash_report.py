"""Reports of unforeseen exceptions: one sentence for the user, and the traceback in a file."""

from __future__ import annotations

import tempfile
import traceback

from search_spaces import AutotuneError
from search_spaces.errors import last_line

#: The environment variable that lets tracebacks through: AUTOTUNE_TRACEBACK=1.
VARIABLE = "AUTOTUNE_TRACEBACK"


def crash_report(error: Exception) -> AutotuneError:
    """The error that stands for an unforeseen exception; writes the traceback into the temporary folder."""
    return AutotuneError(
        f"expected no {type(error).__name__} here, found: {last_line(error)}; {_saved(error)}", code="AT002"
    )


def _saved(error: Exception) -> str:
    """Saves the traceback; says in which file, or how to see it if there is no room for one."""
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="autotune-",
            suffix=".traceback",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"{VARIABLE}=1 shows the traceback"
    return f"the traceback is in {file.name}"
