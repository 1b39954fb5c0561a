"""Status files of strangers, or damaged ones: read, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.jobs.status import read_status
from search_spaces import AutotuneError


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"null", b"\xff\xfe{}", b'{"name":"\xff"}'),
        *(b'{"x":' + b"[" * 100_000, b"9" * 10_000, b'{"schema":1e400}'),
    ],
    ids=["empty", "list", "null", "utf-16", "no utf-8", "deep", "digits", "infinite"],
)  # fmt: skip
def test_what_is_no_status_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(AutotuneError, match=r"expected the status of a job.*status\.json"):
        read_status(tmp_path)
