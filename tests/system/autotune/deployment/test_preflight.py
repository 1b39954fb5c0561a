"""A model is built, run and held against ONNX Runtime before time is spent on it; what fails names the node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tvm import relax
from written_network import written_network

import autotune
from autotune.deployment import culprit, preflight, reference
from autotune.deployment.isolated_build import BuildRequest
from autotune.deployment.referee import Referee
from autotune.jobs import model_builds
from autotune.models.origin import with_named_nodes
from autotune.workers.reply import Died, Returned
from search_spaces import Misuse
from search_spaces.errors import StorageUnreachable
from tests.support.command_line import run_here


def other_values(values: float) -> Callable[..., Referee]:
    """A reference whose outputs are off by so much."""
    found = reference.find_referee

    def find(*arguments: Any) -> Referee:
        draws = found(*arguments).draws
        return Referee(
            tuple(
                tuple(replace(one, values=one.values + np.float32(values)) for one in draw) for draw in draws
            )
        )

    return find


def test_a_sound_model_passes_with_what_each_step_took(small_network: Path) -> None:
    found = autotune.check(autotune.load_model(small_network))
    assert found.verdict is not None
    assert found.verdict.mistake is None
    assert 0 < found.verdict.check.max_abs_error < 1e-5
    assert list(found.secs) == ["import", "build", "link", "start processes", "run", "compare"]
    assert min(found.secs.values()) >= 0
    assert found.latency.secs > 0
    assert sum(row.calls for row in found.coverage.rows) >= 5


def test_a_log_that_does_not_answer_is_not_the_models_fault(small_network: Path, tmp_path: Path) -> None:
    device = autotune.local_device()
    log = "postgresql://tuner@127.0.0.1:1/none"
    request = BuildRequest(small_network, {}, device.target, device.fingerprint, log, tmp_path / "model.so")
    with pytest.raises(StorageUnreachable, match=r"postgresql://tuner@127\.0\.0\.1:1/none to do as"):
        preflight.preflight(request, device.threads)


def wrong_for_samples(*arguments: Any, find: Callable[..., Referee] = reference.find_referee) -> Referee:
    """A reference whose outputs for samples alone are off."""
    found = find(*arguments)
    *drawn, last = found.draws
    return Referee((*drawn, tuple(replace(one, values=one.values + 1) for one in last)), found.samples)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "samples" / "one.npz"
    path.parent.mkdir()
    np.savez(path, np.ones((1, 16, 8, 8), np.float32))
    return path


def test_samples_are_compared_beside_random_inputs(
    small_network: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = autotune.check(autotune.load_model(small_network), samples=[sample.parent])
    assert found.verdict is not None
    assert found.verdict.mistake is None
    assert found.referee is not None
    assert len(found.referee.draws) == 3
    monkeypatch.setattr(reference, "find_referee", wrong_for_samples)
    with pytest.raises(Misuse, match="the build computes something else"):
        autotune.check(autotune.load_model(small_network), samples=[sample])


def job_with_samples(folder: Path, model: Path, samples: str) -> Path:
    """A job file of two trials, in the folder that the samples' names are relative to."""
    job = folder / "jobs.toml"
    model_table = f'[[models]]\npath = "{model}"\nsamples = ["{samples}"]'
    job.write_text(f"budget = {{ trials = 2 }}\n{model_table}")
    return job


@pytest.mark.long
def test_tune_and_run_go_on_where_samples_agree(small_network: Path, sample: Path, tmp_path: Path) -> None:
    tuned = run_here(
        "tune", small_network, "--trials", 2, "--log", tmp_path / "log.jsonl", "--samples", sample
    )
    assert tuned.returncode == 0, tuned.stderr
    assert run_here("run", job_with_samples(tmp_path, small_network, "samples")).returncode == 0


def test_every_command_that_compares_takes_samples(small_network: Path, sample: Path, tmp_path: Path) -> None:
    log, library = tmp_path / "log.jsonl", tmp_path / "small.so"
    build = ("build", small_network, "-o", library)
    commands = (
        ("check", small_network),
        build,
        ("bench", small_network),
        ("tune", small_network, "--trials", 2, "--log", log),
    )
    ended = run_here(*build, "--samples", sample)
    assert ended.returncode == 0, ended.stderr
    np.savez(sample, np.ones((1, 16, 8, 9), np.float32))
    for command in [(*one, "--samples", sample) for one in commands]:
        ended = run_here(*command)
        assert ended.returncode == 2
        assert "found float32 (1, 16, 8, 9)" in " ".join(ended.stderr.split())
    ended = run_here("run", job_with_samples(tmp_path, small_network, "others"))
    assert ended.returncode == 2
    assert "expected files of inputs; found nothing at" in " ".join(ended.stderr.split())


def test_a_build_that_computes_something_else_is_refused_before_the_first_trial(
    small_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "find_referee", other_values(0.01))
    log = tmp_path / "log.jsonl"
    for options in ([], ["--output", tmp_path / "out"]):
        ended = run_here("tune", small_network, "--trials", 4, "--log", log, *options)
        assert ended.returncode == 2
        assert "the build computes something else: 32 of 32 elements of output 0 are off" in ended.stderr
        assert "each of its nodes is right alone" in ended.stderr
        assert not log.read_text().strip()


def test_check_prints_its_steps_and_the_verdict(small_network: Path) -> None:
    ended = run_here("check", small_network)
    assert ended.returncode == 0, ended.stderr
    assert "outputs against the reference: equal within rounding" in ended.stdout
    for step in ("import", "build", "link", "run", "compare"):
        assert step in ended.stdout
    told = json.loads(run_here("check", small_network, "--json").stdout)
    assert told["outputs_equal"] is True
    assert told["inputs"] == [{"name": "x", "shape": [1, 16, 8, 8], "dtype": "float32"}]


def test_estimate_checks_the_model_as_well(
    small_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise Misuse("it does not build", code="AT703")

    monkeypatch.setattr("autotune.cli.inputs.check", refuse)
    # Of a device that the shipped cost model is for, wherever this runs.
    facts = {"isa": "x86_64", "cores": 2, "threads": 2}
    card = {"connection": "local", "target": "llvm -mcpu=skylake-avx512 -num-cores=2", "facts": facts}
    (tmp_path / "device.json").write_text(json.dumps([card]))
    ended = run_here("estimate", small_network, "--device-card", tmp_path / "device.json")
    assert (ended.returncode, "it does not build" in ended.stderr) == (2, True), ended.stderr


def test_a_reference_that_does_not_run_the_model_is_a_notice(
    small_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_arguments: object) -> Referee:
        raise autotune.AutotuneError("no kernel for it", code="AT704")

    monkeypatch.setattr(reference, "find_referee", missing)
    found = autotune.check(autotune.load_model(small_network))
    assert found.verdict is None
    assert "small.onnx is not compared with its reference: no kernel for it" in found.notices[0]


def test_a_budget_too_short_for_anything_is_told_before_it_is_spent(
    small_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        model_builds, "check_file", lambda *_arguments, **_options: pytest.fail("time was spent")
    )
    ended = run_here("tune", small_network, "--time", "1s", "--log", tmp_path / "log.jsonl")
    assert ended.returncode == 2
    assert "expected a budget of at least 2 s" in ended.stderr


class PoolHere:
    """Makes the calls of a worker process in this one; the node of an operator named by `crashing` kills it."""

    crashing = ""

    def __enter__(self) -> PoolHere:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def map(self, calls: list[tuple[Any, float]]) -> list[Returned | Died]:
        [(call, _)] = calls
        operators = [node.op_type for node in onnx.load(call.arguments[0]).graph.node]
        if operators == [self.crashing]:
            return [Died(-11, "", 0.1)]
        return [Returned(call.function(*call.arguments), 0.1)]


def find(path: Path, monkeypatch: pytest.MonkeyPatch, crashing: str = "") -> culprit.Culprit | None:
    pool = PoolHere()
    pool.crashing = crashing
    monkeypatch.setattr(culprit, "lasting_worker", lambda *_arguments: pool)
    return culprit.find_culprit(path, {}, autotune.parse_device("local?threads=1").target)


def test_no_node_is_blamed_where_each_is_right(small_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(small_network, monkeypatch) is None


def test_the_node_whose_process_dies_is_named(small_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find(small_network, monkeypatch, "Flatten")
    assert found is not None
    nodes = {node.name: node.op_type for node in with_named_nodes(onnx.load(small_network)).graph.node}
    assert nodes[found.node] == "Flatten"
    assert "killed by SIGSEGV" in found.reason


def test_the_node_that_computes_something_else_is_named(
    small_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relax.op.nn, "softmax", lambda data, axis=-1: relax.op.nn.log_softmax(data, axis))
    found = find(small_network, monkeypatch)
    assert found is not None
    nodes = {node.name: node.op_type for node in with_named_nodes(onnx.load(small_network)).graph.node}
    assert nodes[found.node] == "Softmax"
    assert "32 of 32 elements of output 0 are off by more than rounding explains" in found.reason


def test_equal_inputs_of_two_nodes_are_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = {"a": np.ones((8, 4, 1, 1), np.float32), "b": np.ones((6, 4, 1, 1), np.float32)}
    nodes = "y = Conv(x, a) z = Conv(x, b)"
    model = written_network("(float[1,4,5,5] x) => (float y, float z)", nodes, constants)
    onnx.save(model, tmp_path / "two.onnx")
    assert find(tmp_path / "two.onnx", monkeypatch) is None
