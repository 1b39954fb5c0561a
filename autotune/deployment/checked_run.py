"""First runs of a saved build on this machine, held against the model's reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autotune.deployment.any_size_check import find_size_mistake
from autotune.deployment.executable import SavedModel
from autotune.deployment.model_runner import SEED
from autotune.deployment.reference import find_referee, reference_for
from autotune.deployment.samples import Sample
from autotune.deployment.side_by_side import TimingSettings, TrialRun, trial_run
from autotune.devices.device import Device
from autotune.models.dynamic_model import DynamicModel
from autotune.models.model import Model
from search_spaces.errors import AutotuneError, StorageError


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
    try:
        reference = reference_for(network.path, network.shapes, threads)
        referee = find_referee(reference, network.inputs, SEED, samples=samples)
    except StorageError:
        raise
    except AutotuneError as error:
        return CheckedRun(trial, (f"{network.name} is not compared with its reference: {error}",))
    mistake = referee.judge(trial.outputs).mistake
    if mistake is None and isinstance(network, DynamicModel):
        mistake = find_size_mistake(saved, network.path, network.plan, threads)
    if mistake is not None:
        raise AutotuneError(
            f"expected the outputs of the model's own runtime, found others in {saved}: {mistake}",
            code="AT706",
        )
    return CheckedRun(trial)
