"""Finals: who takes part, how turns are taken, and when a winner is more than lucky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome
from autotune.runners.steady_runner import SteadyRunner
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.finalists import choose_finalists
from autotune.tuning.finals import Final, FinalResult, Finals
from autotune.tuning.provenance import new_job, utc_now
from autotune.tuning.trial_recorder import TrialRecorder
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Candidate, Config, ToySpace
from tuning_logs import Failure, FailureKind, Job, Measurement, Provenance, Timing, TuningLog, TuningRecord

TASK = ToySpace(64).task
JOB = new_job(0, "random")


def config(name: str) -> Config:
    return Config((("name", name),))


def record(name: str, measurement: Measurement, job: Job = JOB) -> TuningRecord:
    provenance = Provenance(job, 0, utc_now())
    return TuningRecord(TASK, DEVICE.fingerprint, "1", config(name), measurement, None, provenance)


def timing(*run_secs: float, censored: bool = False, reference_slowdown: float = 1.0) -> Timing:
    return Timing(run_secs, 0.0, censored, reference_slowdown=reference_slowdown)


def artifacts(*names: str) -> tuple[Artifact, ...]:
    return tuple(Artifact(TASK, config(name), Path(name), 0.0, ()) for name in names)


class NoisyRunner:
    """Gives each artifact its own latency with noise, and slows everything down in some turns."""

    def __init__(self, secs: dict[str, float], noise: float, slow_turns: Sequence[int] = ()) -> None:
        self.secs = secs
        self.noise = noise
        self.slow_turns = slow_turns
        self.rng = np.random.default_rng(0)
        self.orders: list[list[str]] = []

    @property
    def is_slow(self) -> bool:
        return len(self.orders) - 1 in self.slow_turns

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        self.orders.append([str(artifact.library) for artifact in artifacts])
        slowdown = 3.0 if self.is_slow else 1.0
        return [
            Outcome(self._measure(str(artifact.library), slowdown), None, slowdown) for artifact in artifacts
        ]

    def close(self) -> None:
        pass

    def _measure(self, name: str, slowdown: float) -> Measurement:
        if math.isinf(self.secs[name]):
            return Failure(FailureKind.WRONG_RESULT, "a race lost at last")
        return Timing((self.secs[name] * slowdown * float(self.rng.normal(1.0, self.noise)),), 0.0)


def final_of(runner: NoisyRunner, *names: str) -> Final:
    final = Final(artifacts(*names))
    final.run(runner, lambda: True)
    return final


def test_finalists_are_the_fastest_within_half_as_much_again_and_the_default() -> None:
    records = [record("default", timing(9.0))]
    records += [record(name, timing(secs)) for name, secs in [("a", 1.0), ("b", 1.4), ("c", 1.6)]]
    assert choose_finalists(records, config("default")) == [config("default"), config("a"), config("b")]


def test_repeats_of_several_records_count_together_and_a_wrong_result_excludes() -> None:
    records = [
        record("lucky", timing(0.5)),
        record("lucky", timing(2.0, 2.0)),
        record("steady", timing(1.0)),
        record("wrong", timing(0.1)),
        record("wrong", Failure(FailureKind.WRONG_RESULT, "")),
        record("cut short", timing(0.1, censored=True)),
    ]
    assert choose_finalists(records, config("default")) == [config("default"), config("steady")]


def test_at_most_four_candidates_take_part() -> None:
    records = [record(f"{number}", timing(1.0 + number / 100)) for number in range(10)]
    assert len(choose_finalists(records, config("default"))) == 5


def test_what_was_measured_on_a_slow_machine_gets_another_chance() -> None:
    records = [record("sure", timing(1.0)), record("slow", timing(4.0, reference_slowdown=2.0))]
    records += [record("unsteady", timing(2.0, reference_slowdown=2.0))]
    records += [record("cut short", timing(3.4, censored=True, reference_slowdown=3.0))]
    finalists = [config("default"), config("sure"), config("unsteady"), config("cut short")]
    assert choose_finalists(records, config("default")) == finalists
    records += [record("unsteady", timing(1.6)), record("cut short", timing(1.2, censored=True))]
    assert choose_finalists(records, config("default")) == finalists[:2]


def test_a_clear_winner_ends_the_final_early() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0, "b": 1.2}, noise=0.02)
    verdict = final_of(runner, "default", "a", "b").verdict
    assert verdict is not None
    assert (verdict.winner, verdict.rival) == (config("a"), config("b"))
    assert verdict.is_clear
    assert len(runner.orders) == 6


def test_equals_are_not_told_apart() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0, "b": 1.0}, noise=0.05)
    verdict = final_of(runner, "default", "a", "b").verdict
    assert verdict is not None
    assert not verdict.is_clear
    assert len(runner.orders) == 12


def test_everybody_goes_first_in_turn() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0, "b": 1.0}, noise=0.05)
    final_of(runner, "default", "a", "b")
    assert {order[0] for order in runner.orders} == {"default", "a", "b"}


def test_a_turn_on_a_slow_machine_does_not_count() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0, "b": 1.2}, noise=0.02, slow_turns=[0, 2, 3])
    final = final_of(runner, "default", "a", "b")
    assert len(runner.orders) == 9
    assert len(final.turns) == 6
    assert max(secs for _, a, b in final.turns for secs in (a, b)) < 2.0
    for _artifact, outcome in final.outcomes():
        assert isinstance(outcome.measurement, Timing)
        assert len(outcome.measurement.run_secs) == 6


def test_a_finalist_that_fails_is_out_and_its_failure_is_told() -> None:
    runner = NoisyRunner({"default": 5.0, "a": math.inf, "b": 1.2}, noise=0.02)
    final = final_of(runner, "default", "a", "b")
    assert final.verdict is not None
    assert final.verdict.winner == config("b")
    assert "a" not in runner.orders[1]
    [failure] = [one.measurement for artifact, one in final.outcomes() if artifact.config == config("a")]
    assert isinstance(failure, Failure)


def test_a_final_without_time_has_no_verdict() -> None:
    final = Final(artifacts("default", "a"))
    final.run(NoisyRunner({"default": 5.0, "a": 1.0}, 0.0), lambda: False)
    assert final.verdict is None
    assert final.outcomes() == []


def test_on_a_machine_that_stays_slow_the_turns_decide_and_the_slowdown_is_told() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0, "b": 0.8}, noise=0.01, slow_turns=range(100))
    final = Final(artifacts("default", "a", "b"), {config("a"): 1.0})
    final.run(runner, lambda: True)
    assert len(runner.orders) == 12
    assert final.verdict is not None
    assert final.verdict.winner == config("b")
    assert final.verdict.secs == pytest.approx(0.8, rel=0.05)
    known = {artifact.config: outcome.measurement for artifact, outcome in final.outcomes()}
    assert config("a") not in known
    measured = known[config("b")]
    assert isinstance(measured, Timing)
    assert measured.slowdown == pytest.approx(3.0, rel=0.05)
    assert measured.secs == pytest.approx(0.8, rel=0.05)
    assert min(measured.run_secs) > 2.0


def test_without_a_known_latency_slow_turns_bring_no_times() -> None:
    runner = NoisyRunner({"default": 5.0, "a": 1.0}, noise=0.01, slow_turns=range(100))
    final = Final(artifacts("default", "a"))
    final.run(runner, lambda: True)
    assert final.verdict is not None
    assert final.outcomes() == []


def test_a_lone_finalist_wins_without_a_test() -> None:
    runner = NoisyRunner({"a": 1.0, "default": math.inf}, noise=0.0)
    verdict = final_of(runner, "default", "a").verdict
    assert verdict == FinalResult(config("a"), 1.0, None, 0.0)


def test_the_tuner_ends_with_finals_that_pool_with_earlier_records() -> None:
    now = iter(range(10_000))
    machine = ToyMachine()
    log = TuningLog.in_memory()
    job = TuningJob(
        (TASK,),
        DEVICE,
        Budget(trials=40),
        space=lambda _task: ToySpace(64),
        sampler=sampler_factory(SamplerKind.RANDOM),
        finals_share=0.8,
    )
    tuner = Tuner(job, log, machine, machine, lambda: float(next(now)))
    *_, last = tuner.rounds()
    best = log.best(TASK, DEVICE.fingerprint)
    assert best is not None
    assert tuner.final_results[TASK].winner == best.config
    assert ToySpace(64).default in [one.config for one in last]
    # Once in the search, in the duel with the default, and in the final.
    again = [one for one in log.where(task=TASK) if one.config == best.config]
    assert len(again) == 3
    assert len({one.provenance.trial for one in log.iterate()}) == len(log)


class DisturbedRunner(NoisyRunner):
    """A NoisyRunner of toy programs whose first best time was luck."""

    def __init__(self, secs: dict[str, float], slowdowns: Sequence[float]) -> None:
        super().__init__(secs, 0.005)
        self.slowdowns = slowdowns

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        return [
            Artifact(one.task, one.config, Path(one.config.by_name["name"]), 0.0, ()) for one in candidates
        ]

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        slowdown = self.slowdowns[min(len(self.orders), len(self.slowdowns) - 1)]
        self.orders.append([str(artifact.library) for artifact in artifacts])
        return [Outcome(self._measure(str(one.library), slowdown), None, slowdown) for one in artifacts]


class NamedSpace:
    """A space whose configs are names."""

    default = config("default")

    def apply(self, chosen: Config) -> Candidate:
        return Candidate(TASK, chosen, None)


def decided(
    secs: dict[str, float],
    records: list[TuningRecord],
    slowdowns: Sequence[float],
    champion: Config | None = None,
) -> tuple[list[TuningRecord], Config, list[list[str]]]:
    """All records in the end, the winner, and what ran together."""
    runner = DisturbedRunner(secs, slowdowns)
    recorder = TrialRecorder(DEVICE, JOB, {TASK: "1"})
    finals = Finals(runner, SteadyRunner(runner), recorder, lambda: True, {})
    found = [one for more in finals.decide(TASK, NamedSpace(), records, champion) for one in more]
    return records + found, finals.final_results[TASK].winner, runner.orders


def duelled(
    secs: dict[str, float], records: list[TuningRecord]
) -> tuple[list[TuningRecord], list[list[str]]]:
    """All records after a duel, and what ran together."""
    runner = DisturbedRunner(secs, [1.0])
    finals = Finals(runner, SteadyRunner(runner), TrialRecorder(DEVICE, JOB, {TASK: "1"}), lambda: True, {})
    found = [one for more in finals.duel(TASK, NamedSpace(), records) for one in more]
    return records + found, runner.orders


def best_of(records: list[TuningRecord]) -> Config:
    log = TuningLog.in_memory()
    log.append(records)
    best = log.best(TASK, DEVICE.fingerprint)
    assert best is not None
    return best.config


def test_a_default_that_ran_in_a_slow_moment_is_not_beaten_by_what_is_slower() -> None:
    records = [record("default", timing(*[3.0] * 5)), record("a", timing(2.0)), record("b", timing(2.5))]
    assert best_of(records) == config("a")

    after, orders = duelled({"default": 1.0, "a": 2.0}, records)

    assert best_of(after) == config("default")
    assert set(orders[0]) == {"default", "a"}


def test_a_config_that_is_faster_than_the_default_wins_the_duel() -> None:
    after, _ = duelled({"default": 1.0, "a": 0.8}, [record("default", timing(3.0)), record("a", timing(0.9))])

    assert best_of(after) == config("a")


@pytest.mark.parametrize("rivals", [[], [record("a", timing(2.0))]])
def test_a_default_that_leads_has_no_duel(rivals: list[TuningRecord]) -> None:
    _, orders = duelled({"default": 1.0, "a": 2.0}, [record("default", timing(1.0)), *rivals])

    assert orders == []


def test_what_was_in_doubt_is_looked_at_again_once_the_machine_is_steady() -> None:
    names = {"default": 9.0, "sure": 1.0} | {f"doubt-{n}": 1.3 for n in range(9)} | {"best": 0.7}
    records = [record("default", timing(9.0)), record("sure", timing(1.0))]
    doubts = [name for name in names if name not in ("default", "sure")]
    # The slow machine hit the best harder than others: by its time alone it would be no finalist.
    records += [
        record(name, timing(2.9 if name == "best" else 2.6, reference_slowdown=2.0)) for name in doubts
    ]
    after, winner, orders = decided(names, records, [1.0])
    assert set(orders[0]) == set(doubts)
    assert winner == config("best") == best_of(after)


def test_a_machine_that_stays_slow_does_not_change_the_winner() -> None:
    secs = {"default": 9.0, "sure": 1.0, "other": 1.05, "best": 0.9, "worse": 1.2}
    records = [record(name, timing(secs[name])) for name in ("default", "sure", "other")]
    records += [record(name, timing(2 * secs[name], reference_slowdown=2.0)) for name in ("best", "worse")]
    after, winner, _ = decided(secs, records, [2.0])
    assert winner == config("best") == best_of(after)
    secs["best"] = 1.1
    records[3] = record("best", timing(2.2, reference_slowdown=2.0))
    after, winner, _ = decided(secs, records, [2.0])
    assert winner == config("sure") == best_of(after)


def test_who_becomes_the_best_by_a_final_must_have_taken_part_in_one() -> None:
    names = [f"lucky-{n}" for n in range(4)]
    secs = {"default": 9.0, "honest": 1.0} | dict.fromkeys(names, 1.3)
    records = [record("default", timing(9.0)), *(record(name, timing(0.95)) for name in names)]
    records.append(record("honest", timing(1.0)))
    after, winner, _ = decided(secs, records, [1.0])
    assert winner == config("honest") == best_of(after)


def test_the_best_of_an_earlier_job_is_not_beaten_by_a_machine_that_is_faster_now() -> None:
    earlier = new_job(0, "random")
    secs = {"default": 8.1, "champion": 0.9} | {f"newcomer-{n}": 0.94 + n / 1000 for n in range(20)}
    records = [record("default", timing(9.0), earlier), record("champion", timing(*[1.0] * 100), earlier)]
    records += [record(name, timing(secs[name])) for name in secs if name.startswith("newcomer")]
    after, winner, _ = decided(secs, records, [1.0], config("champion"))
    assert winner == config("champion") == best_of(after)
    secs["newcomer-3"] = 0.8
    after, winner, _ = decided(secs, records, [1.0], config("champion"))
    assert winner == config("newcomer-3") == best_of(after)


class FasterMachine(ToyMachine):
    """A ToyMachine that runs everything in half the time."""

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        found = [(one, one.measurement) for one in super().run(artifacts, best_secs)]
        return [
            replace(one, measurement=replace(timing, run_secs=tuple(secs / 2 for secs in timing.run_secs)))
            for one, timing in found
            if isinstance(timing, Timing)
        ]


def test_a_tuner_that_goes_on_lets_the_best_so_far_take_part_in_the_finals() -> None:
    log = TuningLog.in_memory()
    job = TuningJob(
        (TASK,),
        DEVICE,
        Budget(trials=12),
        space=lambda _task: ToySpace(64),
        sampler=sampler_factory(SamplerKind.RANDOM),
        finals_share=0.8,
    )

    def tuned(machine: ToyMachine, seed: int) -> Tuner:
        now = iter(range(10_000))
        tuner = Tuner(replace(job, seed=seed), log, machine, machine, lambda: float(next(now)))
        list(tuner.rounds())
        return tuner

    tuned(ToyMachine(), 0)
    champion = log.best(TASK, DEVICE.fingerprint)
    assert champion is not None
    second = tuned(FasterMachine(), 1)
    again = [one.config for one in log.iterate() if one.provenance.job.id == second.provenance.id]
    assert champion.config in again


class SlowMachine(ToyMachine):
    """A ToyMachine that has become twice as slow, and says so."""

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        return [
            Outcome(replace(one.measurement, run_secs=(2 * one.measurement.secs,)), one.check, 2.0)
            for one in super().run(artifacts, best_secs)
            if isinstance(one.measurement, Timing)
        ]


def test_a_job_that_goes_on_knows_which_times_were_taken_on_a_slow_machine(tmp_path: Path) -> None:
    random = sampler_factory(SamplerKind.RANDOM)
    job = TuningJob((TASK,), DEVICE, Budget(trials=8), space=lambda _task: ToySpace(64), sampler=random)

    def tuned(machine: ToyMachine, finals_share: float) -> tuple[Tuner, list[TuningRecord]]:
        now = iter(range(10_000))
        with TuningLog.open(tmp_path / "log.jsonl") as log:
            shared = replace(job, finals_share=finals_share, run_prefix="night-")
            tuner = Tuner(shared, log, machine, machine, lambda: float(next(now)))
            return tuner, [record for records in tuner.rounds() for record in records]

    first, measured = tuned(SlowMachine(), 0.0)
    assert first.unsteady == 9
    assert first.slowdown == 2.0
    assert first.drift_warning is not None
    best = min(measured, key=lambda one: one.secs).config
    # The budget is spent: what is measured from here on are second looks and finals.
    second, again = tuned(ToyMachine(), 0.8)
    assert second.unsteady == first.unsteady
    assert second.slowdown == 1.0
    looks = [one for one in again if one.config == best]
    assert looks
    assert all(isinstance(one.measurement, Timing) and one.measurement.is_steady for one in again)
    assert second.final_results[TASK].secs == looks[-1].secs


def test_no_time_for_finals_means_none() -> None:
    job = TuningJob(
        (TASK,),
        DEVICE,
        Budget(trials=20),
        space=lambda _task: ToySpace(64),
        sampler=sampler_factory(SamplerKind.RANDOM),
        finals_share=0.0,
    )
    machine = ToyMachine()
    tuner = Tuner(job, TuningLog.in_memory(), machine, machine, lambda: 0.0)
    list(tuner.rounds())
    assert tuner.final_results == {}
