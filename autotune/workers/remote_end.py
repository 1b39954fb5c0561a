"""The end of a board's session, encoded as a line of the error that its client gets."""

from __future__ import annotations

import json
import re

from autotune.workers.reply import Died, OverMemory

_MARK = "autotune session ended "
_PATTERN = re.compile(re.escape(_MARK) + r"(\{[^\n]*?\})(?:\n|$)")


def session_end_line(fault: Died | OverMemory) -> str:
    """A line that `find_session_end` recognises within an error's text."""
    fields: dict[str, int | str]
    match fault:
        case Died():
            fields = {"returncode": fault.returncode, "stderr_tail": fault.stderr_tail}
        case OverMemory():
            # Clients of an earlier version look for the first two in every line.
            used, limit = fault.used_bytes, fault.limit_bytes
            fields = {"returncode": -9, "stderr_tail": "", "used_bytes": used, "limit_bytes": limit}
    return _MARK + json.dumps(fields)


def find_session_end(text: str) -> Died | OverMemory | None:
    """The fault that ended the session, where an error's text holds its line; its secs are 0.0."""
    match = _PATTERN.search(text)
    if match is None:
        return None
    try:
        fields = json.loads(match[1])
        # Boards of an earlier version name all four, with a used_bytes of 0 where memory was not the reason.
        if fields.get("used_bytes"):
            return OverMemory(fields["used_bytes"], fields["limit_bytes"], 0.0)
        return Died(fields["returncode"], fields["stderr_tail"], 0.0)
    except (ValueError, KeyError):
        return None
