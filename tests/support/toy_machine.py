"""A made-up machine that "runs" toy programs in no time: builder, runner and device for tests of the loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.runners.runner import Outcome
from search_spaces import Candidate, Target
from tuning_logs import Check, DeviceFingerprint, Failure, FailureKind, Timing

DEVICE = Device("toy", Target("toy"), "toy", DeviceFingerprint("toy", {"cpu_model": "toy", "threads": 1}))


class ToyMachine:
    """Builds and runs toy programs; `fails` decides which candidates fail, and `measured` lists what it ran."""

    def __init__(self, fails: Callable[[Candidate], bool] = lambda _candidate: False) -> None:
        self.fails = fails
        self.measured: list[Candidate] = []
        self.is_closed = False

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        built: list[Artifact | Failure] = []
        for candidate in candidates:
            self.measured.append(candidate)
            if self.fails(candidate):
                built.append(Failure(FailureKind.BUILD_ERROR, "the toy compiler gave up", 0.1))
            else:
                secs = str(candidate.schedule.run_secs)
                built.append(Artifact(candidate.task, candidate.config, Path(secs), 0.1, ()))
        return built

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        return [
            Outcome(Timing((float(str(artifact.library)),), artifact.build_secs), Check(0.0, 0.0))
            for artifact in artifacts
        ]

    def close(self) -> None:
        self.is_closed = True
