"""The random streams over TVM's search spaces, pinned: what is proposed for a seed, and what shipped logs hold."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.runners.runner import Outcome
from autotune.search.pretrained_model import SHIPPED, load_pretrained
from autotune.search.samplers import PriorFactory, SamplerKind, sampler_factory, without_prior
from autotune.tuning.budget import Budget
from autotune.tuning.collection import Collection
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Candidate, Config, Target, TuningTask
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED
from search_spaces.tensor_ir import modules
from tuning_logs import Check, DeviceFingerprint, Timing, TuningLog, TuningRecord
from tuning_logs.address import read_log

TARGET = Target.parse("llvm -mcpu=skylake-avx512 -num-cores=2")
DEVICE = Device("cpu", TARGET, "local", DeviceFingerprint("cpu", {"isa": "x86_64", "threads": 2}))


def with_naive_baseline(config: Config) -> Config:
    """The config, that of naive loops for the default schedule: the baseline when the streams were pinned."""
    return UNTOUCHED if config == DEFAULT_SCHEDULE else config


class Replay:
    """Gives every candidate the time of its record, or one that its config's digest makes up."""

    def __init__(self, records: Sequence[TuningRecord] = ()) -> None:
        self.known = {record.config: record for record in records}
        self.configs: list[Config] = []

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact]:
        self.configs += [with_naive_baseline(each.config) for each in candidates]
        return [Artifact(each.task, each.config, Path(), 0.1, ()) for each in candidates]

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        return [self._outcome(with_naive_baseline(each.config)) for each in artifacts]

    def close(self) -> None:
        pass

    def _outcome(self, config: Config) -> Outcome:
        if config in self.known:
            return Outcome(self.known[config].measurement, self.known[config].check)
        return Outcome(Timing((1e-3 * (1 + int(config.key[:8], 16) / 2**32),), 0.1), Check(0.0, 0.0))


@pytest.fixture(scope="module")
def task() -> TuningTask:
    """A product of 64 × 64 matrices."""
    func = te.create_prim_func(te_workload.matmul(64, 64, 64))
    return TuningTask(modules.workload(func, "matmul"), TARGET)


def digest(configs: Sequence[Config]) -> str:
    """Twelve hexadecimal digits that tell one sequence of configs from another."""
    return hashlib.sha256("\n".join(config.key for config in configs).encode()).hexdigest()[:12]


@pytest.mark.parametrize(("is_guided", "expected"), [(False, "ecaa2adbb85e"), (True, "75ebed193783")])
def test_a_tuner_measures_the_pinned_configs(task: TuningTask, is_guided: bool, expected: str) -> None:
    pretrained = load_pretrained(SHIPPED, DEVICE)
    assert pretrained is not None
    prior: PriorFactory = pretrained.prior if is_guided else without_prior
    sampler = sampler_factory(SamplerKind.COST_MODEL, prior)
    job = TuningJob((task,), DEVICE, Budget(trials=20), seed=1, batch=8, sampler=sampler)
    machine = Replay()
    list(Tuner(job, TuningLog.in_memory(), machine, machine, lambda: 0.0).rounds())
    assert digest(machine.configs) == expected


def test_a_collection_measures_the_pinned_configs(task: TuningTask) -> None:
    machine = Replay()
    collection = Collection(
        [task],
        DEVICE,
        TuningLog.in_memory(),
        Budget(trials=32),
        seed=1,
        batch=16,
        builder=machine,
        runner=machine,
    )
    list(collection.rounds())
    assert digest(machine.configs) == "fb999e534044"


@pytest.mark.parametrize("name", ["max_pool2d21", "avg_pool3d11"])
def test_a_collection_starts_as_the_shipped_log_of_its_task(name: str) -> None:
    log = read_log(str(SHIPPED / "x86-64-avx512" / "alexnet.jsonl.gz"))
    task = next(each for each in log.tasks() if each.name == name)
    records = log.where(task=task)
    assert records[0].provenance.job.seed == 0
    device = Device("cpu", task.target, "local", records[0].device)
    machine = Replay(records)
    collection = Collection(
        [task], device, TuningLog.in_memory(), Budget(trials=32), batch=32, builder=machine, runner=machine
    )
    list(collection.rounds())
    # The untuned program and the first round; later rounds depend on the surrogate's features, which grew since.
    assert machine.configs == [each.config for each in records[:33]]
