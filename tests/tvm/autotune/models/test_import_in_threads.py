"""Models imported by several threads at once, beside threads that print, warn and import nothing."""

from __future__ import annotations

import io
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import autotune
from autotune.models.task_extraction import extract_tasks
from search_spaces import Misuse


def test_models_imported_at_once_are_the_model(small_network: Path) -> None:
    target = autotune.parse_device("local?threads=1").target
    expected = [task.key for task in extract_tasks(autotune.load_model(small_network), target)]
    filters = list(warnings.filters)

    def keys(_number: int) -> list[str]:
        return [task.key for task in extract_tasks(autotune.load_model(small_network), target)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(keys, range(12))) == [expected] * 12
    assert warnings.filters == filters


def test_a_refused_model_prints_nothing_and_stdout_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    node = helper.make_node("MaxUnpool", ["x", "x"], ["y"], kernel_shape=[2])
    graph = helper.make_graph([node], "made", value[:1], value[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "made.onnx",
    )
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    seen = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(sys.stdout)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            with pytest.raises(Misuse):
                autotune.load_model(tmp_path / "made.onnx")
    finally:
        stop.set()
        watcher.join()
    assert (stdout.getvalue(), seen) == ("", {stdout})
