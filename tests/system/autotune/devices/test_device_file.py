"""Devices of a file that are asked for over the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.devices.device_file import find_device
from search_spaces.errors import AutotuneError

GOOD = """
[[device]]
name = "pi4"
connection = "rpc://127.0.0.1:1/pi4"
target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
"""


def test_a_board_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(GOOD)
    with pytest.raises(AutotuneError, match="expected an RPC tracker"):
        find_device("pi4", path)
