"""A saved build held against the reference of its model: the outputs of first runs, and those at other sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autotune.deployment.any_size_check import find_size_mistake
from autotune.deployment.engine import Array
from autotune.deployment.referee import Referee, Verdict
from autotune.deployment.reference import referee_or_notice
from autotune.deployment.samples import Sample
from autotune.deployment.side_by_side import TimingSettings
from autotune.models.onnx_file import Shape
from autotune.models.shape_plan import ShapePlan
from autotune.workers.fork_server import ForkServer


@dataclass(frozen=True, slots=True)
class SavedBuild:
    """The library of a model's file with fixed shapes; plan: of one for ranges of sizes."""

    model: Path
    shapes: Mapping[str, Shape]
    library: Path
    plan: ShapePlan | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a build.

    referee, verdict: None where the reference does not run the model, for the reason in `notices`;
    size_mistake:     the mistake at other sizes than the ones that were run, None where there is none.
    """

    referee: Referee | None = None
    verdict: Verdict | None = None
    size_mistake: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def mistake(self) -> str | None:
        """The mistake in the outputs, None where they are right."""
        return (self.verdict.mistake if self.verdict else None) or self.size_mistake


def judge_build(
    build: SavedBuild,
    outputs: Sequence[Sequence[Array]],
    settings: TimingSettings,
    server: ForkServer | None = None,
    samples: tuple[Sample, ...] = (),
) -> Judgement:
    """Judges the outputs of a build for the draws of the settings and for samples, then its outputs at other sizes.

    server: forks the processes that run the reference and the build; by default one of each. Raises AutotuneError where
    the build does not run, StorageError where the disk is to blame.
    """
    referee, notices = referee_or_notice(build.model, build.shapes, settings, server, samples)
    if referee is None:
        return Judgement(notices=notices)
    verdict = referee.judge(outputs)
    size_mistake = None
    if verdict.mistake is None and build.plan is not None:
        size_mistake = find_size_mistake(build.library, build.model, build.plan, settings.threads, server)
    return Judgement(referee, verdict, size_mistake)
