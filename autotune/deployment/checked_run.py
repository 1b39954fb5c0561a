"""First runs of a saved build on this machine, held against the model's reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autotune.deployment.executable import SavedModel
from autotune.deployment.judgement import SavedBuild, judge_build
from autotune.deployment.model_runner import SEED
from autotune.deployment.samples import Sample
from autotune.deployment.side_by_side import TimingSettings, TrialRun, trial_run
from autotune.devices.device import Device
from autotune.models.dynamic_model import DynamicModel
from autotune.models.model import Model
from search_spaces.errors import AutotuneError


@dataclass(frozen=True)
class CheckedRun:
    """Runs of a build whose outputs are right; notices: a sentence where there was no reference to say so."""

    trial: TrialRun
    notices: tuple[str, ...] = ()


def checked_run(
    network: Model | DynamicModel, saved: Path, device: Device, samples: tuple[Sample, ...] = ()
) -> CheckedRun:
    """Runs a saved build on draws of inputs from `SEED` on, and on samples, and times it.

    device: of this machine.

    Raises AutotuneError where its outputs are not those of the model's reference.
    """
    threads = device.threads
    settings = TimingSettings(network.inputs, threads, rounds=5, seed=SEED)
    engine = SavedModel(saved.absolute(), threads=threads, device=device.tvm_name)
    trial = trial_run(engine, settings, samples=samples)
    plan = network.plan if isinstance(network, DynamicModel) else None
    build = SavedBuild(network.path, network.shapes, saved, plan)
    judged = judge_build(build, trial.outputs, settings, samples=samples)
    if judged.mistake is not None:
        raise AutotuneError(
            f"expected the outputs of the model's own runtime, found others in {saved}: {judged.mistake}",
            code="AT706",
        )
    return CheckedRun(trial, judged.notices)
