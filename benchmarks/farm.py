"""The coordinator of many workers on boards that only pretend, the same job on Ray and on this machine, and faults.

python benchmarks/farm.py                       # throughput, processor time a trial, growth
python benchmarks/farm.py --faults 1000         # random faults: what is lost, what counts twice
python benchmarks/farm.py --kills 100           # the coordinator killed and started again
python benchmarks/farm.py --ray 3               # a real job on a local Ray cluster of two nodes, and without
python benchmarks/farm.py --postgresql 10       # appends per second of 64 writers, for so many seconds
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farm_backends import postgresql, ray_job
from farm_crew import ENVIRONMENT, Setting, SocketCrew, start_program
from farm_kills import kills

from autotune.builders.artifact import Artifact
from autotune.builders.compile_order import CompileOrder
from autotune.cluster.assignments import Order
from autotune.cluster.cluster_runner import ClusterRunner, OrderLimits
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.parcel import CompileRequest
from autotune.devices.device import Device
from autotune.runners.runner import Outcome, TrialLimits
from autotune.testing.toy_machine import DEVICE, ToyMachine
from search_spaces import ToySpace
from tuning_logs import DeviceFingerprint, Failure, Timing
from tuning_logs.records.measurement import is_device_lost

KINDS = 3
BUILDERS = 4
BUILD_SECS = 0.002
TRIAL_SECS = 0.05
BATCH = 64
ROUNDS_AT_ONCE = 2


def device(kind: int) -> Device:
    """The device of one kind of boards."""
    return replace(DEVICE, name=f"kind-{kind}", fingerprint=DeviceFingerprint(f"kind-{kind}", {"kind": kind}))


def artifacts(count: int) -> list[Artifact]:
    """Artifacts of one task with a library of 60 kB, as a kernel's is."""
    folder = Path(tempfile.mkdtemp())
    library = folder / "kernel.so"
    library.write_bytes(os.urandom(60_000))
    space = ToySpace(64)
    [reference] = ToyMachine().build([space.apply(space.default)])
    assert isinstance(reference, Artifact)
    first = replace(reference, library=library, is_reference=True)
    return [first, *(replace(first, is_reference=False) for _ in range(count - 1))]


class Compiling:
    """Compilations that only pretend."""

    request = CompileRequest(CompileOrder("module " * 2000, 1, DEVICE.target, "cc"), 20.0)

    def order(self, _member: Any, _places: Any) -> CompileRequest:
        """See `Work.order`."""
        return self.request

    def judge(self, _member: str, places: Any, value: Any, _secs: float) -> Judgement[Any]:
        """See `Work.judge`."""
        return Judgement({places[0]: value})

    def give_up(self, _place: int, reason: str) -> Any:
        """See `Work.give_up`."""
        raise AssertionError(reason)


@dataclass
class Run:
    """A run of the farm."""

    boards: int
    trials: int
    secs: float
    cpu_secs: float

    @property
    def share(self) -> float:
        """The ideal time over the time that it took."""
        return self.trials * TRIAL_SECS / self.boards / self.secs


def farm(boards: int, trials: int) -> Run:
    """Builds and measures trials on boards of three kinds at once, each kind with a coordinator's thread."""
    kinds = min(KINDS, boards)
    settings = [
        Setting(f"board-{number}", device(number % kinds).fingerprint.key, TRIAL_SECS)
        for number in range(boards)
    ]
    builders = [Setting(f"builder-{number}", "", BUILD_SECS) for number in range(BUILDERS)]
    process, port = start_program([*settings, *builders])
    try:
        builder = Coordinator("builders", SocketCrew(port, builders, slots=2), ENVIRONMENT)
        runners = [
            ClusterRunner(
                Coordinator(
                    "boards",
                    SocketCrew(port, settings[kind::kinds]),
                    ENVIRONMENT,
                    device(kind).fingerprint.key,
                ),
                device(kind),
            )
            for kind in range(kinds)
        ]
        # As many for each board, so that the kinds end together.
        counts = Counter(trial % boards % kinds for trial in range(trials))
        wanted = [artifacts(counts[kind]) for kind in range(kinds)]

        def work(kind: int) -> None:
            untuned, *rest = wanted[kind]
            chunks = [rest[first : first + BATCH] for first in range(0, len(rest), BATCH)]
            # As a tuner does of several tasks, or with two rounds of one task at once: the next begins before the last
            # boards are done with one.
            with ThreadPoolExecutor(ROUNDS_AT_ONCE) as rounds:
                rounds.submit(build, len(chunks[0]))
                runners[kind].run([untuned])
                for outcomes in rounds.map(lambda chunk: measured(kind, chunk), chunks):
                    assert all(isinstance(one.measurement, Timing) for one in outcomes)

        def measured(kind: int, chunk: Sequence[Artifact]) -> list[Outcome]:
            if chunk[0] is not wanted[kind][1]:  # the first round is built while the untuned program runs
                build(len(chunk))
            return runners[kind].run(chunk)

        def build(count: int) -> None:
            builder.carry_out([Order((place,), (20.0,)) for place in range(count)], Compiling())

        threads = [threading.Thread(target=work, args=(kind,)) for kind in range(kinds)]
        started, cpu = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Run(boards, trials, time.monotonic() - started, time.process_time() - cpu)
    finally:
        process.kill()


def throughput() -> dict[str, Any]:
    """Throughput and processor time at several sizes of farm and job."""
    rows = [
        farm(boards, trials) for boards, trials in ((8, 500), (16, 1000), (32, 1000), (32, 2000), (32, 4000))
    ]
    for one in rows:
        print(
            f"{one.boards:3d} boards {one.trials:5d} trials: {one.secs:5.2f} s, {one.share:.1%} of the ideal, "
            f"coordinator {1e3 * one.cpu_secs / one.trials:.2f} ms of CPU a trial"
        )
    return {"runs": [vars(one) | {"share": one.share} for one in rows]}


def faults(count: int) -> dict[str, Any]:
    """Injects faults until so many were met; checks every outcome."""
    key = DEVICE.fingerprint.key
    settings = [
        Setting(f"board-{number}", key, 0.002, 0.0 if number < 2 else 0.15, number) for number in range(12)
    ]
    met: Counter[str] = Counter()
    conditions: Counter[str] = Counter()
    mistakes: Counter[str] = Counter()
    measured = tried_again = lost = stray = rounds = 0
    limits = OrderLimits(TrialLimits(0.2, 0.5), 0.5)
    while sum(met.values()) < count:
        # Boards that were set aside for good are replaced, so that faults go on.
        process, port = start_program([replace(one, seed=rounds) for one in settings])
        crew = SocketCrew(port, settings)
        coordinator = Coordinator("boards", crew, ENVIRONMENT, key)
        runner = ClusterRunner(coordinator, DEVICE, limits=limits)
        try:
            for _ in range(6):
                batch = artifacts(400)
                outcomes, again = _measure(runner, batch)
                assert len(outcomes) == len(batch)
                measured += len(outcomes)
                tried_again += again
                gone = sum(is_device_lost(one.measurement) for one in outcomes)
                lost += gone
                mistakes.update(_mistake(one) for one in outcomes if not is_device_lost(one.measurement))
        finally:
            met.update(crew.met)
            stray += coordinator.stray_answers
            conditions.update(str(coordinator.roster.standing(one.name).condition) for one in settings)
            runner.close()
            process.kill()
        rounds += 1
    print(f"{sum(met.values())} faults over {measured} candidates: {dict(met)}")
    del mistakes[""]
    print(
        f"false outcomes: {dict(mistakes)}; tried again later: {tried_again}; lost: {lost}; "
        f"repeated answers dropped: {stray}"
    )
    print(f"boards ended as: {dict(conditions)}")
    return {
        "faults": dict(met),
        "candidates": measured,
        "false": dict(mistakes),
        "tried_again": tried_again,
        "lost": lost,
        "conditions": dict(conditions),
    }


def _measure(runner: ClusterRunner, batch: Sequence[Artifact]) -> tuple[list[Outcome], int]:
    """Measures a batch with the attempts that a job gives a candidate whose device is lost; how many came again."""
    outcomes, again = runner.run(batch), 0
    for _ in range(2):
        gone = [place for place, one in enumerate(outcomes) if is_device_lost(one.measurement)]
        again += len(gone)
        for place, outcome in zip(gone, runner.run([batch[place] for place in gone]), strict=True):
            outcomes[place] = outcome
    return outcomes, again


def _mistake(outcome: Outcome) -> str:
    """The kind of a false outcome, empty for a true one."""
    if isinstance(outcome.measurement, Failure):
        return str(outcome.measurement.kind)
    return "" if math.isclose(outcome.measurement.secs, 0.0018) else f"{outcome.measurement.secs:.3g} s"


def main() -> None:
    """Runs the measurement that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("faults", "kills", "ray", "postgresql"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.faults:
        found = faults(chosen.faults)
    elif chosen.kills:
        found = kills(chosen.kills)
    elif chosen.ray:
        found = ray_job(chosen.ray)
    elif chosen.postgresql:
        found = postgresql(chosen.postgresql)
    else:
        found = throughput()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
