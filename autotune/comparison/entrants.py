"""The engines that take part with one model on one device: builds of this package, and others by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autotune.comparison.subject import Subject
from autotune.deployment.engine import Engine
from autotune.deployment.engines import engine_names, find_engine
from autotune.deployment.executable import SavedModel
from autotune.deployment.gpu_engines import find_gpu_engine, gpu_engine_names, gpu_engines_for
from autotune.deployment.isolated_build import BuildRequest, BuildResult, build_apart
from autotune.deployment.reference_engine import RUNTIMES
from autotune.devices.connection import Cuda
from autotune.devices.device import Device
from autotune.models.model_format import ModelFormat, format_of
from search_spaces.errors import AutotuneError, Misuse, StorageError, last_line

#: Builds by this package: with the schedules of the log, and with default ones.
AUTOTUNE, UNTUNED = "autotune", "untuned"
_OURS = (AUTOTUNE, UNTUNED)


@dataclass(frozen=True, slots=True)
class Entrant:
    """An engine of that name for one model and device. engine: None where there is none, for a reason.

    size_bytes: of what it reads from the disk; code: of the error that is the reason, where it has one.
    """

    name: str
    engine: Engine | None = None
    size_bytes: int = 0
    build: BuildResult | None = None
    reason: str | None = None
    code: str | None = None


def check_names(engines: Sequence[str]) -> None:
    """Raises Misuse for names of engines that are not known here."""
    known = sorted({*_OURS, *RUNTIMES.values(), *engine_names(), *gpu_engine_names()})
    unknown = [name for name in engines if name not in known]
    if unknown:
        raise Misuse(f"expected engines, of {', '.join(known)}; found {unknown[0]!r}", code="AT805")


def default_engines(path: Path, device: Device, log: str | None) -> tuple[str, ...]:
    """All engines for a model's file on a device: builds with the log and without, and those that take its format."""
    file_format = format_of(path)
    ours = (AUTOTUNE,) if log is None else _OURS
    if isinstance(device.via, Cuda):
        return (*ours, *gpu_engines_for(path))
    others = engine_names() if file_format is ModelFormat.ONNX else []
    return tuple(dict.fromkeys((*ours, RUNTIMES[file_format], *others)))


def enter(name: str, subject: Subject, device: Device, log: str | None, folder: Path) -> Entrant:
    """Prepares an engine; a build goes into the folder. Raises StorageError where that cannot be written, or the log
    cannot be read: everything else that is wrong is the entrant's reason."""
    try:
        if device.target.is_gpu and not device.is_here:
            raise Misuse(
                f"whole models run on GPUs of this machine, and {device.name} is another's", code="AT708"
            )
        if name in _OURS:
            return _built(name, subject, device, log if name == AUTOTUNE else None, folder)
        if isinstance(device.via, Cuda):
            engine = find_gpu_engine(name, subject.path, subject.shapes, device.via.index)
            return Entrant(name, engine, subject.size_bytes)
        if name in gpu_engine_names():
            raise Misuse(f"{name} runs on GPUs of NVIDIA, and {device.name} is none", code="AT708")
        if device.target.is_gpu:
            raise Misuse(f"{name} runs on processors here, and {device.name} is a GPU", code="AT708")
        if not device.is_here:
            raise Misuse(
                f"{name} runs on this machine, and {device.name} is another; builds by autotune run there",
                code="AT708",
            )
        engine = find_engine(name, subject.path, subject.shapes, device.threads)
        return Entrant(name, engine, subject.size_bytes)
    except StorageError:
        raise
    except AutotuneError as error:
        return Entrant(name, reason=str(error), code=error.code)
    except Exception as error:  # noqa: BLE001 - whatever the factory of another package raises
        return Entrant(name, reason=f"{type(error).__name__}: {last_line(error)}")


def _built(name: str, subject: Subject, device: Device, log: str | None, folder: Path) -> Entrant:
    library = folder / f"{name}.so"
    linker = None if device.is_here else device.linker
    request = BuildRequest(
        subject.path, subject.shapes, device.target, device.fingerprint, log, library, linker
    )
    result = build_apart(request)
    return Entrant(
        name, SavedModel(library, name, device.threads, device.tvm_name), library.stat().st_size, result
    )
