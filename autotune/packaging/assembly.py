"""From a model and a log to packages: built, run, held against its reference, and written in each form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autotune.deployment.samples import Sample
from autotune.devices.device import Device
from autotune.models.model import Model
from autotune.packaging.package import PackageForm
from tuning_logs.record_store import RecordStore


def package(
    model: Model,
    output: str | Path,
    forms: Sequence[PackageForm],
    device: Device,
    log: RecordStore | None = None,
    samples: tuple[Sample, ...] = (),
) -> tuple[Path, ...]:
    """Builds a model for a device and writes a package of each form into a folder; returns their paths."""
    raise NotImplementedError
