"""A board runs builds by autotune; the rows of other engines say why they are not there."""

from __future__ import annotations

from pathlib import Path

from rpc_boards import Boards

import autotune
from autotune.comparison.comparison import ComparisonSettings
from autotune.devices.device import local_device


def test_a_board_runs_builds_by_autotune_alone(small_network: Path, tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    try:
        boards.start("compared", "--threads", "1")
        url = f"rpc://{boards.tracker}/compared?target={local_device(1).target}"
        found = autotune.compare(
            [small_network],
            [url],
            ["autotune", "onnxruntime"],
            settings=ComparisonSettings(rounds=3, round_secs=0.02),
        )
    finally:
        boards.close()
    ours, theirs = found.rows
    assert ours.measured is not None, ours.reason
    assert ours.device == "compared"
    assert ours.is_checked and ours.mistake is None
    assert 1e-6 < ours.measured.p50.secs < 1.0
    assert (ours.measured.load_secs, ours.measured.peak_memory_bytes) == (None, None)
    assert theirs.reason == (
        "onnxruntime runs on this machine, and compared is another; builds by autotune run there"
    )
    assert theirs.code == "AT708"
