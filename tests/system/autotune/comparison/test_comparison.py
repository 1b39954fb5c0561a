"""Engines compared for real: those that run, those that do not, and those that fail while they do."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import onnx
import pytest
from command_line import run_here
from faulty_engines import entry_points_of
from onnx import TensorProto, helper

import autotune
import autotune.deployment.engines
from autotune.comparison.comparison import ComparisonSettings
from autotune.comparison.result import Comparison, Measured, Row
from autotune.comparison.result_file import read_comparison

ENGINES = ("autotune", "onnxruntime", "untuned")
QUICK = ComparisonSettings(rounds=3, round_secs=0.02, timeout_secs=60.0)
_ORT = EntryPoint("onnxruntime", "autotune.deployment.onnxruntime_engine:OnnxRuntime", "autotune.engines")


@pytest.fixture(scope="module")
def refused_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unique elements of a vector, whose number depends on them: nothing that TVM imports."""
    graph = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["y"])],
        "unique",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    path = tmp_path_factory.mktemp("model") / "unique.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def _rows(found: Comparison, model: str | None = None) -> dict[str, Row]:
    return {row.engine: row for row in found.rows if model in (None, row.model)}


def _measured(row: Row) -> Measured:
    assert row.measured is not None, row.reason
    return row.measured


@pytest.mark.alone
def test_engines_are_measured_and_a_model_that_tvm_refuses_has_the_best_of_the_others(
    small_network: Path, refused_model: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "comparison.json"
    models = (small_network, refused_model)
    ended = run_here(
        "compare", *models, "--engines", ",".join(ENGINES), "--devices", "local,local?threads=1",
        "--rounds", 3, "--price", "local=0.2", "--price", "local?threads=1=0.1", "--dollars-per-million", 1000,
        "--output", kept, "--json",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = read_comparison(kept)
    assert len(found.rows) == 2 * 2 * 3
    for row in found.rows[:6]:
        measured = _measured(row)
        assert row.is_checked and row.mistake is None
        assert 1e-6 < measured.p50.secs <= measured.p90.secs <= measured.p99.secs < 1.0
        assert measured.p50.low_secs <= measured.p50.secs
        assert 0.0 < (measured.load_secs or 0.0) < 60.0
        # Python, NumPy and the engine; not TVM where the engine is another.
        assert measured.base_memory_bytes is not None and measured.peak_memory_bytes is not None
        assert 20e6 < measured.base_memory_bytes < measured.peak_memory_bytes < 2e9
        assert 0.0 <= (measured.max_abs_error or 0.0) < 1e-3
        assert (row.build is not None) == (row.engine != "onnxruntime")
    sizes = {row.engine: _measured(row).size_bytes for row in found.rows[:3]}
    assert sizes["onnxruntime"] == small_network.stat().st_size
    assert sizes["autotune"] > 10_000
    peaks = {row.engine: _measured(row).peak_memory_bytes or 0 for row in found.rows[:3]}
    assert peaks["onnxruntime"] < peaks["autotune"]

    document = json.loads(ended.stdout)
    assert [one["device"] for one in document["fastest"]] == ["local", "local?threads=1"] * 2
    assert [one["engine"] for one in document["fastest"][2:]] == ["onnxruntime"] * 2, document["rows"][6:]
    refused = _rows(found, "unique")
    for name in ("autotune", "untuned"):
        assert refused[name].measured is None
        assert refused[name].code == "AT113"
        assert "Unique" in (refused[name].reason or "")
    assert _measured(refused["onnxruntime"]).p50.secs < 0.1
    [small, unique] = document["verdict"]["models"]
    assert len(small["holding"]) == 6
    assert [one["engine"] for one in unique["holding"]] == ["onnxruntime"] * 2

    # Other limits and prices are held against the same measurements.
    again = run_here("verdict", kept, "--latency-ms", 1e-3, "--price", "local=0.4", "--json")
    assert again.returncode == 0, again.stderr
    judged = json.loads(again.stdout)
    assert judged["prices"] == {"local": 0.4}
    assert not judged["models"][0]["holding"]
    assert all(one["misses"][0]["limit"] == "latency_secs" for one in judged["models"][0]["missing"])
    shown = run_here("verdict", kept, "--latency-ms", 1e-3)
    assert "latency by" in shown.stdout and "nothing holds the limits" in shown.stdout


def test_engines_that_fail_have_a_reason_and_the_others_go_on(
    small_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = entry_points_of("Crashing", "Hanging", "Wrong", "Missing", "refused", "Heavy")
    monkeypatch.setattr(autotune.deployment.engines, "entry_points", lambda group: [*faulty, _ORT])
    names = ("crashing", "onnxruntime", "hanging", "wrong", "missing", "refused", "heavy")
    found = autotune.compare(
        [small_network], ["local?threads=1"], names, settings=ComparisonSettings(3, 0.05, timeout_secs=3.0)
    )
    rows = _rows(found)
    assert tuple(rows) == names
    assert "SIGSEGV" in (rows["crashing"].reason or "")
    assert "more than 3 s" in (rows["hanging"].reason or "")
    assert "pip install 'autotune[bench]'" in (rows["missing"].reason or "")
    assert rows["refused"].reason == "LookupError: on 1 threads"
    assert all(rows[name].measured is None for name in ("crashing", "hanging", "missing", "refused"))
    # What is wrong is measured and told, and wins nothing.
    assert "off by more than rounding explains" in (rows["wrong"].mistake or "")
    assert not rows["wrong"].is_usable
    heavy, theirs = _measured(rows["heavy"]), _measured(rows["onnxruntime"])
    assert 0.005 <= heavy.p50.secs < 0.1
    assert 300e6 < (heavy.peak_memory_bytes or 0) - (heavy.base_memory_bytes or 0) < 400e6
    assert 0 < (theirs.peak_memory_bytes or 0) - (theirs.base_memory_bytes or 0) < 250e6
    judged = autotune.verdict(found, autotune.Limits(latency_secs=10.0))
    assert [one.engine for one in judged.models[0].holding] == ["onnxruntime"]
    assert {one.engine for one in judged.models[0].missing if one.reason} == set(names) - {"onnxruntime"}


def test_what_cannot_be_compared_at_all_is_refused_before_anything_runs(
    small_network: Path, tmp_path: Path
) -> None:
    for arguments, message in (
        ((tmp_path / "none.onnx",), "does not exist"),
        ((small_network, "--engines", "no-such-engine"), "expected engines, of autotune"),
        ((small_network, small_network), "expected each model once"),
        ((small_network, "--devices", "local,local"), "expected each device once"),
        ((small_network, "--price", "pi4=1"), "expected the price of a device that was compared"),
        ((small_network, "--latency-ms", "0"), "finite and positive"),
        ((small_network, "--dim", "height=3"), "height"),
    ):
        ended = run_here("compare", *arguments)
        assert ended.returncode == 2, (arguments, ended.stdout)
        assert message in " ".join(ended.stderr.split())


def test_a_refused_model_in_bench_shows_the_others_and_fails(refused_model: Path) -> None:
    ended = run_here("bench", refused_model)
    assert ended.returncode == 2
    assert "onnxruntime is the fastest" in ended.stdout
    assert "error[AT113]" in ended.stderr
