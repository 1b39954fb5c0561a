"""Waiting lasts as long as a process is busy, and no longer than two seconds."""

import subprocess
import sys
import time

import pytest

from autotune.workers.idle import wait_until_idle

pytestmark = pytest.mark.alone

_SPINS = "import sys, time\nwhile time.process_time() < {secs}: pass\nprint(flush=True)\nsys.stdin.read()"


def spinning(secs: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _SPINS.format(secs=secs)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_that_spins_is_waited_for() -> None:
    with spinning(0.6) as process:
        time.sleep(0.1)
        wait_until_idle([process.pid])
        used = time.process_time()
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        assert time.process_time() - used < 0.1
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_that_never_rests_is_not_waited_for_forever_and_one_that_is_gone_not_at_all() -> None:
    with spinning(1000.0) as process:
        time.sleep(0.1)
        wait_until_idle([process.pid])
        assert process.poll() is None
        process.kill()
    wait_until_idle([process.pid])
