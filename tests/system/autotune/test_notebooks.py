"""The package in a notebook: a running loop of events, no file of the program, children, threads, Ctrl-C in a cell."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

nbclient: Any = pytest.importorskip("nbclient", reason="no notebooks: pip install nbclient ipykernel")
nbformat: Any = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel", reason="no notebooks: pip install nbclient ipykernel")

SETUP = """
import asyncio, multiprocessing, os, sys, threading, time
import numpy as np, onnx, onnx.parser
from onnx import helper, numpy_helper
import autotune
assert asyncio.get_running_loop().is_running()
graph = onnx.parser.parse_graph("g (float[8,64] x) => (float[8,64] y) { h = MatMul(x, w) y = Relu(h) }")
graph.initializer.append(numpy_helper.from_array(np.random.default_rng(0).standard_normal((64, 64), np.float32), "w"))
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "net.onnx")
device = autotune.parse_device("local?threads=1")
x = np.ones((8, 64), np.float32)

def tuned(trials):
    model = autotune.load_model("net.onnx")
    job = autotune.TuningJob(autotune.extract_tasks(model, device.target), device, autotune.Budget(trials=trials))
    with autotune.TuningLog.open("log.jsonl") as log:
        return sum(len(records) for records in autotune.Tuner(job, log).rounds())
"""
USE = """
assert tuned(4) >= 4
assert autotune.check(autotune.load_model("net.onnx")).verdict is not None
with autotune.TuningLog.open("log.jsonl") as log:
    autotune.compile(autotune.load_model("net.onnx"), device.target, log).save("net.so")
model = autotune.load("net.so", threads=1)
expected = model(x)
found = await asyncio.gather(*(asyncio.to_thread(model, x) for _ in range(8)))
assert all(np.array_equal(one, expected) for one in found)
print("as expected")
"""
CHILDREN = """
def child(_):
    return model(x)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(np.array_equal(one, expected) for one in pool.map(child, range(4)))
thread = threading.Thread(target=tuned, args=(2,)); thread.start(); thread.join()
print("as expected")
"""
INTERRUPTED = """
print("begun", flush=True)
tuned(100_000)
"""
AFTERWARDS = """
import psutil
ends = time.monotonic() + 20
def working(): return [one for one in psutil.Process().children(True) if one.status() != "zombie"]
while working() and time.monotonic() < ends:
    time.sleep(0.1)
assert not working(), working()
with autotune.TuningLog.open("log.jsonl") as log: assert not log.damage
before = len(autotune.TuningLog.read("log.jsonl")); tuned(2)
assert len(autotune.TuningLog.read("log.jsonl")) >= before
print("as expected")
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Any]:
    """A kernel that executes cells in a folder of its own."""
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(), timeout=900, resources={"metadata": {"path": str(tmp_path)}}
    )
    with client.setup_kernel():
        yield client


def executed(notebook: Any, *cells: str) -> list[str]:
    """What cells print, each on stdout; on stderr they print nothing."""
    found = []
    for text in cells:
        cell = nbformat.v4.new_code_cell(text)
        notebook.nb.cells.append(cell)
        notebook.execute_cell(cell, len(notebook.nb.cells) - 1)
        streams = {one["name"]: one["text"] for one in cell.outputs if one["output_type"] == "stream"}
        found.append(streams.get("stdout", ""))
    return found


def interrupt_after_trials(kernel: psutil.Process, log: Path) -> None:
    """Interrupts a kernel as Jupyter does, once a search in it has kept trials."""
    while not log.exists() or len(log.read_bytes().splitlines()) < 10:
        time.sleep(0.1)
    kernel.send_signal(signal.SIGINT)


@pytest.mark.long
def test_cells_use_the_package_as_scripts_do(notebook: Any) -> None:
    assert executed(notebook, SETUP, USE, CHILDREN) == ["", "as expected\n", "as expected\n"]


@pytest.mark.long
def test_an_interrupted_cell_leaves_a_kernel_that_goes_on(notebook: Any, tmp_path: Path) -> None:
    executed(notebook, SETUP)

    [kernel] = [one for one in psutil.Process().children() if "ipykernel_launcher" in one.cmdline()]
    # The cell's search has workers by then: its first trials are in the log.
    thread = threading.Thread(
        target=interrupt_after_trials, args=(kernel, tmp_path / "log.jsonl"), daemon=True
    )
    thread.start()
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="KeyboardInterrupt"):
        executed(notebook, INTERRUPTED)
    thread.join()
    assert executed(notebook, AFTERWARDS) == ["as expected\n"]
