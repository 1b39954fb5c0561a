"""Ctrl-C at any moment of the first use: workers end, and the next call works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import autotune, psutil
hook, handler = sys.excepthook, signal.getsignal(signal.SIGINT)
threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    autotune.check(autotune.load_model(sys.argv[1]))
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
until = time.monotonic() + 10
while psutil.Process().children() and time.monotonic() < until:
    time.sleep(0.05)
print(len(psutil.Process().children()), autotune.check(autotune.load_model(sys.argv[1])).verdict.mistake)
print(sys.excepthook is hook, signal.getsignal(signal.SIGINT) is handler)
"""


@pytest.mark.parametrize(
    "secs", [0.05, pytest.param(0.4, marks=pytest.mark.long), 1.0, pytest.param(2.0, marks=pytest.mark.long)]
)
def test_an_interrupt_leaves_nothing_behind(small_network: Path, secs: float) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, small_network, str(secs)], capture_output=True, text=True, timeout=100
    )
    assert ended.stdout.split() == ["interrupted", "0", "None", "True", "True"], ended.stderr
    assert "Traceback" not in ended.stderr
