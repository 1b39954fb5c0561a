"""A simulated machine for toy programs: builder, runner and device for tests of the tuning loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.runners.runner import Outcome
from search_spaces import Candidate, Target, ToySpace
from tuning_logs import Check, DeviceFingerprint, Failure, FailureKind, Timing

DEVICE = Device("toy", Target("toy"), "toy", DeviceFingerprint("toy", {"cpu_model": "toy", "threads": 1}))

_BUILD_SECS = 0.1


class ToyMachine:
    """Builder and Runner of the programs of a `ToySpace`; takes no time.

    fails: whether a candidate fails to build. `measured` lists the candidates that were built.
    """

    def __init__(self, fails: Callable[[Candidate], bool] = lambda _candidate: False) -> None:
        self.fails = fails
        self.measured: list[Candidate] = []
        self.is_closed = False

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """An artifact whose library is named by the latency of its program."""
        return [self._build(candidate) for candidate in candidates]

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """One repeat, without noise and without error."""
        return [
            Outcome(Timing((float(str(artifact.library)),), artifact.build_secs), Check(0.0, 0.0))
            for artifact in artifacts
        ]

    def close(self) -> None:
        """Sets `is_closed`."""
        self.is_closed = True

    def _build(self, candidate: Candidate) -> Artifact | Failure:
        self.measured.append(candidate)
        if self.fails(candidate):
            return Failure(FailureKind.BUILD_ERROR, "the toy compiler gave up", _BUILD_SECS)
        library = Path(str(candidate.schedule.run_secs))
        is_reference = candidate.config == ToySpace().default
        return Artifact(candidate.task, candidate.config, library, _BUILD_SECS, (), is_reference=is_reference)
