"""A folder that two runs cannot have at once, whatever log they write to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autotune.jobs.folder_lock import held
from search_spaces import AutotuneError

HOLDER = """
import sys, time
from pathlib import Path
from autotune.jobs.folder_lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_a_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    with held(folder), pytest.raises(AutotuneError, match="another process"), held(folder):
        pass
    with held(folder):
        pass


def test_a_run_that_is_killed_gives_its_folder_up(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(AutotuneError), held(tmp_path):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with held(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AutotuneError, match="file"), held(tmp_path / "file" / "below"):
        pass
