"""Commands of autotune that the service runs in processes of their own."""

import json
from pathlib import Path

import pytest

from autotune.service.own_command import CommandFailed, output_of


def test_the_output_of_a_command_is_its_answer() -> None:
    [here, *_] = json.loads(output_of(120.0, "devices", "--json"))
    assert here["connection"] == "local"


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nowhere"):
        output_of(120.0, "report", str(tmp_path / "nowhere"))


def test_a_command_has_a_time_limit() -> None:
    with pytest.raises(CommandFailed, match=r"longer than 0\.01 s"):
        output_of(0.01, "devices", "--json")
