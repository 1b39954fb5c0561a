"""The file of a comparison: one JSON document, written in one step."""

from __future__ import annotations

from pathlib import Path

import msgspec

from autotune.comparison.result import Comparison
from search_spaces.errors import Misuse, StorageError
from search_spaces.text_file import read_text
from tuning_logs.atomic_file import atomically


def write_comparison(path: str | Path, comparison: Comparison) -> None:
    """Writes a comparison; a file of that name is replaced. Raises StorageError where the path cannot be written."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(path) as scratch:
            scratch.write_bytes(msgspec.json.encode(comparison))
    except OSError as error:
        raise StorageError(f"the comparison could not be written to {path}: {error}", code="AT803") from error


def read_comparison(path: str | Path) -> Comparison:
    """The comparison in a file. Raises Misuse where there is none."""
    try:
        return msgspec.json.decode(read_text(Path(path)), type=Comparison)
    except OSError as error:
        raise Misuse(
            f"expected a comparison at {path}; found: {error.strerror}. "
            f"Write one: autotune compare MODEL --output {path}",
            code="AT720",
        ) from error
    except (ValueError, RecursionError) as error:
        raise Misuse(
            f"expected a comparison that autotune compare wrote; {path} is none: {error}. Compare again with --output",
            code="AT720",
        ) from error
