"""Where the tests find the repository's files."""

from pathlib import Path

SUPPORT = Path(__file__).parent
GOLDEN = SUPPORT.parent / "golden"
ROOT = SUPPORT.parents[1]
