"""How a session on a board ended, as the board tells its client."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from autotune.workers.reply import Died, OverMemory

_MARK = "autotune session ended "
_PATTERN = re.compile(re.escape(_MARK) + r"(\{[^\n]*?\})(?:\n|$)")


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """returncode: of the process, negative for a signal; used_bytes: what it held when it was killed for its memory,
    0 where it was not; limit_bytes: what it might have held."""

    returncode: int
    stderr_tail: str
    used_bytes: int = 0
    limit_bytes: int = 0

    @property
    def fault(self) -> Died | OverMemory:
        """What a worker process of this machine would have replied."""
        if self.used_bytes:
            return OverMemory(self.used_bytes, self.limit_bytes, 0.0)
        return Died(self.returncode, self.stderr_tail, 0.0)

    def to_text(self) -> str:
        """A line that `find_session_end` recognises within an error's text."""
        return _MARK + json.dumps(asdict(self))


def find_session_end(text: str) -> SessionEnd | None:
    """How the session ended, where an error's text tells it."""
    match = _PATTERN.search(text)
    if match is None:
        return None
    try:
        return SessionEnd(**json.loads(match[1]))
    except (ValueError, TypeError):
        return None
