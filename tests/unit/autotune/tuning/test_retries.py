"""A candidate whose device was lost is measured again later, and nothing is written about it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Candidate, Config, ToySpace
from tuning_logs import Failure, FailureKind, TuningLog


class LosingMachine(ToyMachine):
    """Loses the device at the first try of every third candidate, and at every try of the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: Counter[Config] = Counter()
        self.cursed: Config | None = None

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        outcomes = super().run(artifacts, best_secs)
        for place, artifact in enumerate(artifacts):
            config = artifact.config
            self.tries[config] += 1
            is_new = self.tries[config] == 1 and config != ToySpace(64).default
            is_lost = is_new and len(self.tries) % 3 == 0
            if is_lost and self.cursed is None:
                self.cursed = config
            if is_lost or config == self.cursed:
                outcomes[place] = Outcome(Failure(FailureKind.DEVICE_LOST, "gone"), None)
        return outcomes


class SlowCompiler(ToyMachine):
    """Is not done with the first candidate of a round before the next."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: Counter[Config] = Counter()

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        self.passed.update(candidate.config for candidate in candidates)
        late = {one.config for one in candidates[:1] if len(candidates) > 1 and self.passed[one.config] == 1}
        done = self.build([one for one in candidates if one.config not in late])
        places = iter(done)
        return [None if one.config in late else next(places) for one in candidates]


def test_what_is_not_compiled_in_time_is_measured_with_the_next_round_of_its_task() -> None:
    log, machine = TuningLog.in_memory(), SlowCompiler()
    spaces = {space.task: space for space in (ToySpace(64), ToySpace(256))}
    job = TuningJob(
        tuple(spaces),
        DEVICE,
        Budget(trials=40),
        space=lambda task: spaces[task],
        sampler=sampler_factory(SamplerKind.RANDOM),
        batch=6,
        finals_share=0.0,
    )
    rounds = list(Tuner(job, log, machine, machine).rounds())
    assert len(log) == 40 + len(spaces)
    assert len({(one.task, one.config) for one in log.iterate()}) == len(log)
    late = [config for config, times in machine.passed.items() if times > 1]
    assert len(late) > 5
    assert all(machine.passed[config] == 2 for config in late)
    # A start is a start, even if a part of it comes later: nobody gets another before everybody had one.
    assert [records[0].task for records in rounds[1:3]] == list(reversed(list(spaces)))


def test_lost_candidates_come_again_and_only_what_they_took_is_written() -> None:
    space, log, machine = ToySpace(64), TuningLog.in_memory(), LosingMachine()
    job = TuningJob(
        (space.task,),
        DEVICE,
        Budget(trials=30),
        space=lambda _task: space,
        sampler=sampler_factory(SamplerKind.RANDOM),
        batch=6,
        finals_share=0.0,
    )
    list(Tuner(job, log, machine, machine).rounds())
    assert not any(isinstance(record.measurement, Failure) for record in log.iterate())
    assert machine.cursed is not None
    assert machine.tries[machine.cursed] == 3
    again = {config for config, tries in machine.tries.items() if tries == 2}
    assert again
    assert again <= {record.config for record in log.iterate()}
    assert len(log) == 31
