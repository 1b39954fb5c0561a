"""Cost models that guide a search from its first trial on: which is taken, what is said of it, how it is turned off."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run_here

from autotune.devices.device import Device
from autotune.search.latency_estimate import of_like_devices
from autotune.search.pretrained_model import SHIPPED, load_pretrained, matches
from autotune.search.pretrained_prior import PretrainedPrior
from autotune.search.tuned_estimator import ESTIMATOR_SUFFIX
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.record_table import RecordTable
from search_spaces import Config, Misuse, Target, ToySpace
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, TuningLog

HELD_OUT = {"squeezenet", "resnet50"}


def device(target: str, isa: str = "x86_64", threads: int = 2) -> Device:
    facts = {"isa": isa, "cores": threads, "threads": threads, "l1d_bytes": 49152, "l2_bytes": 1 << 20}
    return Device("made up", Target.parse(target), "local", DeviceFingerprint("made up", facts))


AVX512 = device("llvm -mcpu=skylake-avx512 -num-cores=2")


@pytest.mark.parametrize(
    ("where", "is_like"),
    [
        (AVX512, True),
        (device("llvm -mcpu=znver4 -num-cores=8", threads=8), True),
        (device("llvm -mcpu=haswell -num-cores=2"), False),
        (device("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=2", "aarch64"), False),
        (device("cuda -arch=sm_80"), False),
    ],
)
def test_the_shipped_model_is_for_cpus_with_the_same_vectors(where: Device, is_like: bool) -> None:
    assert (load_pretrained(SHIPPED, where) is not None) == is_like


def test_every_shipped_model_has_the_logs_that_it_learned_from_and_none_that_judge_it() -> None:
    models = sorted(SHIPPED.glob("*.costmodel"))
    assert models
    for path in models:
        pretrained = load_pretrained(path, AVX512)
        assert pretrained is not None
        card = pretrained.model.card
        logs = sorted((SHIPPED / path.stem).glob("*.jsonl.gz"))
        assert card["logs"] == {log.name: hashlib.sha256(log.read_bytes()).hexdigest() for log in logs}
        assert not HELD_OUT & set(card["networks"])
        assert path.with_suffix(".md").exists()


def test_every_shipped_estimator_was_fitted_to_the_logs_beside_it() -> None:
    for model in SHIPPED.glob("*.costmodel"):
        estimators = sorted((SHIPPED / model.stem).glob(f"*{ESTIMATOR_SUFFIX}"))
        assert estimators
        digests = {
            log.name: hashlib.sha256(log.read_bytes()).hexdigest()
            for log in (SHIPPED / model.stem).glob("*.jsonl.gz")
        }
        assert all(LatencyEstimator.load(path).card["logs"] == digests for path in estimators)


@pytest.mark.long
def test_a_shipped_estimator_is_what_its_logs_teach() -> None:
    """Features are computed anew: a change of theirs that kept their version would show here."""
    for model in SHIPPED.glob("*.costmodel"):
        table = RecordTable.read(sorted((SHIPPED / model.stem).glob("*.jsonl.gz")))
        for path in (SHIPPED / model.stem).glob(f"*{ESTIMATOR_SUFFIX}"):
            shipped = LatencyEstimator.load(path)
            [facts] = [one["facts"] for one in shipped.card["devices"]]
            learned = of_like_devices(table, DeviceFingerprint("like it", facts))
            fitted = LatencyEstimator.fit(learned)
            np.testing.assert_allclose(
                shipped.predict(learned.features), fitted.predict(learned.features), rtol=0.01
            )
            assert shipped.median_error == pytest.approx(fitted.median_error, rel=0.01)


def test_a_shipped_model_knows_slow_from_fast_in_the_logs_that_ship_with_it() -> None:
    pretrained = load_pretrained(SHIPPED, AVX512)
    assert pretrained is not None
    log = TuningLog.read(sorted((SHIPPED / pretrained.name).glob("*.jsonl.gz"))[0])
    task = max(log.tasks(), key=lambda one: one.workload.flops)
    records = [record for record in log.where(task=task) if len(record.config) > 1 and record.secs < 1]
    space = TensorIRSpace(task)
    known = {sketch.name for sketch in space.sketches}
    records = [record for record in records if record.config.by_name["sketch"] in known]
    prior = PretrainedPrior(space, records[0].device, pretrained.model)
    scores, secs = prior([record.config for record in records]), np.array([one.secs for one in records])
    chosen = secs[np.argsort(-scores)[: len(secs) // 10]]
    assert np.median(chosen) < np.quantile(secs, 0.25)


def test_a_prior_needs_no_schedule_and_takes_the_untouched_operator_too() -> None:
    pretrained = load_pretrained(SHIPPED, AVX512)
    assert pretrained is not None
    log = TuningLog.read(sorted((SHIPPED / pretrained.name).glob("*.jsonl.gz"))[0])
    prior = pretrained.prior(TensorIRSpace(log.tasks()[0]))
    assert prior is not None
    assert np.isfinite(prior([Config((("sketch", "default"),))])).all()
    assert prior([]).shape == (0,)
    assert pretrained.prior(ToySpace(64)) is None


def test_tune_says_that_it_is_guided_and_how_to_turn_that_off(tmp_path: Path) -> None:
    # One thread: a busy machine would have its second one refused, which is tested elsewhere.
    shared = ["tune", "--op", "matmul:16,16,16", "--trials", 2, "--batch", 2, "--device", "local?threads=1"]
    model = next(SHIPPED.glob("*.costmodel"))
    guided = run_here(*shared, "--cost-model", model, "--log", tmp_path / "a.jsonl")
    assert guided.returncode == 0, guided.stderr
    assert model.stem in guided.stderr and "--cost-model none" in guided.stderr
    free = run_here(*shared, "--cost-model", "none", "--log", tmp_path / "b.jsonl")
    assert free.returncode == 0, free.stderr
    assert model.stem not in free.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--cost-model", "nowhere.costmodel"], "nowhere.costmodel"),
        (["--cost-model", __file__], "cost model"),
        (["--cost-model", __file__, "--sampler", "random"], "random"),
    ],
)
def test_what_is_no_cost_model_is_misuse(arguments: list[str], word: str, tmp_path: Path) -> None:
    done = run_here(
        "tune", "--op", "matmul:16,16,16", "--trials", 2, "--log", tmp_path / "c.jsonl", *arguments
    )
    assert done.returncode == 2
    assert word in done.stderr and "Traceback" not in done.stderr


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    card, boosters = read_model_file(next(SHIPPED.glob("*.costmodel")), "xgboost-cost-model")
    path = tmp_path / "old.costmodel"
    write_model_file(path, {**card, "feature_version": 0}, boosters)
    with pytest.raises(Misuse, match="feature version"):
        load_pretrained(path, AVX512)
    assert not matches({**card, "feature_version": 0}, AVX512)
    assert not matches({**card, "devices": []}, AVX512)
    assert matches(card, AVX512)


@pytest.fixture
def device_card(tmp_path: Path) -> Path:
    """What `autotune devices --json` would print on a machine with AVX-512 and two threads."""
    rows = [
        {"connection": "local", "target": str(AVX512.target), "facts": dict(AVX512.fingerprint.facts)},
    ]
    path = tmp_path / "device.json"
    path.write_text(json.dumps(rows))
    return path


def test_an_estimate_has_seconds_and_an_interval_for_every_task_and_the_whole(device_card: Path) -> None:
    done = run_here("estimate", "--op", "matmul:256,256,256", "--device-card", device_card, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    [task] = found["tasks"]
    # 33.6 million operations: between a teraflop a second and a gigaflop.
    assert 3e-5 < task["secs"] < 3e-2
    assert task["low_secs"] < task["secs"] < task["high_secs"]
    assert found["total"]["low_secs"] < found["total"]["secs"] < found["total"]["high_secs"]
    assert found["error"] >= 1


def test_a_larger_operator_is_estimated_to_take_longer(device_card: Path) -> None:
    secs = []
    for size in (64, 512):
        done = run_here(
            "estimate", "--op", f"matmul:{size},{size},{size}", "--device-card", device_card, "--json"
        )
        secs.append(json.loads(done.stdout)["total"]["secs"])
    assert secs[1] > 10 * secs[0]


def test_devices_that_no_log_tells_of_are_not_estimated(tmp_path: Path) -> None:
    facts = {**AVX512.fingerprint.facts, "threads": 96}
    path = tmp_path / "large.json"
    path.write_text(json.dumps([{"connection": "local", "target": str(AVX512.target), "facts": facts}]))
    done = run_here("estimate", "--op", "matmul:64,64,64", "--device-card", path)
    assert done.returncode == 2
    assert "96 threads" in done.stderr or "threads" in done.stderr
    path.write_text("{}")
    assert (
        "autotune devices --json"
        in run_here("estimate", "--op", "matmul:64,64,64", "--device-card", path).stderr
    )
