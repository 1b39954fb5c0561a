"""`autotune cost-model` from logs to a model that is judged, adapted and shown."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from autotune.cli.main import app
from autotune.models.operators import operator_task
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.program_model import load_program_model
from search_spaces import Config, Misuse, Target
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord

Run = Callable[..., str]


def write_log(path: Path, sizes: list[int], mcpu: str = "znver4", best: int = 16) -> Path:
    """Made-up times: the nearer the vector is to the best length, the faster."""
    device = DeviceFingerprint("cpu", {"isa": "x86_64", "threads": 2, "mcpu": mcpu})
    job = Job(path.stem, 0, "random", "2026-01-01T00:00:00+00:00")
    rng = np.random.default_rng(0)
    with TuningLog.open(path) as log:
        for size in sizes:
            task = operator_task(
                f"matmul:{size},{size},{size}", Target.parse(f"llvm -mcpu={mcpu} -num-cores=2")
            )
            space = TensorIRSpace(task)
            records = []
            for trial in range(16):
                config = space.answer(
                    lambda decision: int(rng.integers(1, len(decision.choices))) % len(decision.choices)
                )
                off = abs(np.log2(_vector(config) / best))
                provenance = Provenance(job, trial, "2026-01-01T00:00:00+00:00")
                trace = space.apply(config).trace
                records.append(
                    TuningRecord(
                        task,
                        device,
                        space.version,
                        config,
                        Timing((1e-3 * 2**off,), 0.1),
                        None,
                        provenance,
                        trace,
                    )
                )
            log.append(records)
    return path


def _vector(config: Config) -> int:
    answer = config.by_name.get("tile-1", (1,))
    assert isinstance(answer, tuple)
    return answer[-1]


@pytest.fixture
def run(autotune_here: Run) -> Run:
    """Runs a command of `autotune cost-model`."""
    return partial(autotune_here, "cost-model")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("logs")
    return [write_log(folder / "one.jsonl", [16, 32, 48]), write_log(folder / "other.jsonl", [64, 80, 96])]


@pytest.fixture(scope="module")
def model(logs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "cpu.costmodel"
    app(["cost-model", "train", str(logs[0]), "-o", str(path)], standalone_mode=False)
    return path


def test_a_trained_model_tells_what_it_learned_from(run: Run, model: Path) -> None:
    card = json.loads(run("show", model, "--json"))
    assert card["tasks"] == 3
    assert card["networks"] == ["one"]
    assert set(card["logs"]) == {"one.jsonl"}
    assert len(card["logs"]["one.jsonl"]) == 64
    assert card["metrics"]["held_out_tasks"]["tasks"] == 3
    assert sum(card["features"].values()) <= 1
    assert "measured on cpu, 2 threads" in run("show", model)


def test_evaluation_is_of_tasks_that_the_model_has_not_seen(
    run: Run, model: Path, logs: list[Path], tmp_path: Path
) -> None:
    found = json.loads(
        run(
            "evaluate", model, *logs, "--report", tmp_path / "r.html", "--plots", tmp_path / "plots", "--json"
        )
    )
    assert {task["networks"][0] for task in found["tasks"]} == {"other"}
    assert found["qualities"]["cpu"]["pairwise"] > 0.8
    assert found["qualities"]["chance"]["pairwise"] < 0.7
    assert (tmp_path / "r.html").read_text().count("data:image/png") == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())


def test_what_was_learned_from_is_judged_with_a_warning(
    run: Run, model: Path, logs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    app(["cost-model", "evaluate", str(model), str(logs[0]), "--json"], standalone_mode=False)
    assert "learned from every task" in capsys.readouterr().err


def test_networks_are_held_out_one_at_a_time(run: Run, model: Path, logs: list[Path]) -> None:
    found = json.loads(run("evaluate", model, *logs, "--held-out", "networks", "--json"))["held_out"][
        "networks"
    ]
    assert set(found) == {"XGBoost, regression", "XGBoost, ranking", "random forest", "ridge", "chance"}
    assert found["XGBoost, regression"]["tasks"] == 6
    with pytest.raises(Misuse, match="two devices or more"):
        run("evaluate", model, *logs, "--held-out", "devices")


def test_adapting_to_other_vectors(run: Run, model: Path, tmp_path: Path) -> None:
    few = write_log(tmp_path / "few.jsonl", [32, 64], mcpu="nehalem", best=4)
    card = json.loads(run("adapt", model, few, "-o", tmp_path / "sse.costmodel", "--json"))
    assert card["adapted"]["way"] in ("source", "corrected", "cold")
    assert card["adapted"]["source"]["tasks"] == 3
    assert card["targets"] == ["llvm -mcpu=nehalem -num-cores=2"]
    assert load_program_model(tmp_path / "sse.costmodel").card["records"] == card["records"]


def test_models_of_other_features_and_torn_files_are_refused(run: Run, model: Path, tmp_path: Path) -> None:
    whole = model.read_bytes()
    other = tmp_path / "other.costmodel"
    card, boosters = read_model_file(model, "xgboost-cost-model")
    write_model_file(other, {**card, "feature_version": 9}, boosters)
    with pytest.raises(Misuse, match="feature version"):
        run("show", other)
    for torn in (b"", whole[:100], whole[:-1], whole + b"x"):
        other.write_bytes(torn)
        with pytest.raises(Misuse, match="whole cost model"):
            run("show", other)
    with pytest.raises(Misuse, match="no such file"):
        run("show", tmp_path / "nothing.costmodel")
