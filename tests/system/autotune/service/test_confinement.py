"""The process that reads uploaded models, attacked from inside: a file, the network, other processes, links, memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autotune.service.confinement import landlock_version
from autotune.service.job_process import worker_environment

ATTACKS = """
import json, os, signal, socket, subprocess, sys
from pathlib import Path
from autotune.service.confinement import ResourceLimits, limit
from autotune.service import examiner

store, port, parent = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
limit(ResourceLimits(30, 1 << 30, 64, 1 << 20))
examiner._confine()

def too_large():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (Path("out") / "large").write_bytes(bytes(2 << 20))

def many_files():
    return [open("/dev/null") for _ in range(100)]

attacks = {
    "read the store": lambda: (store / "service.db").read_bytes(),
    "list the service": lambda: os.listdir(store),
    "read by a path upwards": lambda: Path("in/../../service/service.db").read_bytes(),
    "write beside": lambda: Path("escaped").write_text("x"),
    "write to the input": lambda: Path("in/new").write_text("x"),
    "replace the input": lambda: os.rename("in/model.onnx", "out/model.onnx"),
    "link to the store": lambda: (os.symlink(store / "service.db", "out/link"), Path("out/link").read_bytes()),
    "hard link": lambda: os.link(store / "service.db", "out/hard"),
    "device": lambda: os.mkfifo("out/pipe"),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 2),
    "signal the server": lambda: os.kill(parent, 0),
    "start a program": lambda: subprocess.run(["/bin/true"], check=True),
    "environment of the server": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "memory of the server": lambda: open(f"/proc/{parent}/mem", "rb"),
    "folder of the server": lambda: Path(f"/proc/{parent}/root{store}/service.db").read_bytes(),
    "large file": too_large,
    "many files": many_files,
    "memory": lambda: bytearray(4 << 30),
    "token": lambda: os.environ["AUTOTUNE_TOKEN"],
}
done = []
for name, attack in attacks.items():
    try:
        attack()
        done.append(name)
    except (OSError, MemoryError, KeyError, subprocess.SubprocessError):
        pass
allowed = [Path("in/model.onnx").read_bytes().decode(), Path("out/mine").write_text("x")]
print(json.dumps([done, allowed]))
"""


@pytest.mark.skipif(
    landlock_version() < 6 and os.geteuid() != 0,
    reason="the kernel knows no Landlock, and the process is not root's: only limits confine it",
)
def test_a_process_that_reads_models_reaches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOTUNE_TOKEN", "secret")
    store, work = tmp_path / "service", tmp_path / "work"
    for folder in (store, work / "in", work / "out"):
        folder.mkdir(parents=True)
    (store / "service.db").write_bytes(b"secret")
    store.chmod(0o700)
    (work / "out").chmod(0o777)
    (work / "in" / "model.onnx").write_text("model")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = [str(store), str(listener.getsockname()[1]), str(os.getpid())]
        found = subprocess.run(
            [sys.executable, "-c", ATTACKS, *arguments],
            cwd=work,
            env=worker_environment(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
    done, allowed = json.loads(found.stdout)
    assert done == []
    assert allowed == ["model", 1]
    assert sorted(path.name for path in work.rglob("*")) == ["in", "large", "mine", "model.onnx", "out"]
