"""From a model and a log to the contents of packages: built, run, and held against the model's reference."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from autotune.deployment.checked_run import CheckedRun, checked_run
from autotune.deployment.compilation import Build, compile
from autotune.deployment.engine import draw
from autotune.deployment.model_runner import SEED
from autotune.deployment.samples import Sample
from autotune.devices.device import Device, local_device
from autotune.machine.cpu_features import known_features
from autotune.models.dynamic_model import DynamicModel
from autotune.models.model import Model
from autotune.models.output_names import output_names
from autotune.packaging.elf_needs import elf_needs
from autotune.packaging.metadata import Metadata, OperatorCoverage, Provenance, Requirements, TensorSpec
from autotune.packaging.module_name import module_name
from autotune.packaging.package import PackageContents, PackageForm, StoredRun
from autotune.packaging.runtime_files import RuntimeFiles, installed_runtime, runtime_in
from autotune.workers.room import scratch_folder
from search_spaces.errors import Misuse
from search_spaces.printable_text import one_line
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_features import cpu_features
from tuning_logs import RecordStore, TuningLog
from tuning_logs.selection.schedule_choice import OtherDevices

# Draws that are judged; the first is stored.
_STORED_DRAWS = 1


@dataclass(frozen=True)
class PackageRequest:
    """A model to be packaged for a device.

    log, log_name: whose schedules it takes, and how the user calls it; None for the default ones;
    samples:       inputs that outputs are compared on and that are stored;
    runtime:       a folder with TVM's runtime libraries for the device, None where they are this environment's.
    """

    model: Model | DynamicModel
    device: Device
    log: RecordStore | None = None
    log_name: str | None = None
    samples: tuple[Sample, ...] = ()
    others: OtherDevices = OtherDevices.REFUSED
    runtime: Path | None = None


@dataclass(frozen=True, eq=False)
class Assembled:
    """The contents of packages, the build that they hold, and notices for the user."""

    contents: PackageContents
    build: Build
    notices: tuple[str, ...]


def package(
    model: Model | DynamicModel,
    output: str | Path,
    forms: Sequence[PackageForm],
    log: RecordStore | None = None,
    device: Device | None = None,
) -> tuple[Path, ...]:
    """Builds a model, and writes a package of each form into a folder; returns their paths.

    log: whose schedules it takes; by default operators run default ones. device: that it is built for; by default this
    machine's processor. Raises Misuse for a GPU, and AutotuneError where the outputs are not those of the model's
    own runtime.

    >>> autotune.package(model, "out", [autotune.Wheel(), autotune.Archive()])  # doctest: +SKIP
    """
    check_forms(model, forms)
    with assembled(PackageRequest(model, device or local_device(), log)) as found:
        return write_packages(found.contents, forms, Path(output))


def check_forms(model: Model | DynamicModel, forms: Sequence[PackageForm]) -> None:
    """Raises Misuse where a form cannot hold a model, before it is built."""
    unfit = [form.name for form in forms if isinstance(model, DynamicModel) and not form.takes_ranges]
    if unfit:
        raise Misuse(
            f"expected one size for each dimension of the form {unfit[0]}; found a range. Package the model once for "
            "each size with --shape or --dim, or as a wheel",
            code="AT730",
        )


def write_packages(contents: PackageContents, forms: Sequence[PackageForm], folder: Path) -> tuple[Path, ...]:
    """Writes a package of each form into a folder, which is made where it is missing; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(form.write(contents, folder) for form in forms)


@contextmanager
def assembled(request: PackageRequest) -> Iterator[Assembled]:
    """The contents of a model's packages, whose files are gone afterwards.

    Raises Misuse where the device or the model cannot be packaged, and AutotuneError where the build's outputs are not
    those of the model's own runtime.
    """
    model, device = request.model, request.device
    _check_device(device)
    files = _runtime_files(request)
    with scratch_folder("autotune-package-") as folder:
        linker = None if device.is_here else device.linker
        log = request.log or TuningLog.in_memory()
        built = compile(model, device.target, log, device.fingerprint, request.others, linker=linker)
        library = built.save(Path(folder) / "model.so", linker)
        checked = _checked(library, request, Path(folder))
        drawn = [tuple(draw(model.inputs, SEED + one)) for one in range(_STORED_DRAWS)]
        outputs = checked.trial.outputs
        kept = [*outputs[:_STORED_DRAWS], *outputs[len(outputs) - len(request.samples) :]]
        runs = tuple(map(StoredRun, (*drawn, *request.samples), kept))
        metadata = _metadata(request, built, library, files, (runs[0], checked))
        yield Assembled(
            PackageContents(metadata, library, files.runtime, files.ffi, runs), built, checked.notices
        )


def _check_device(device: Device) -> None:
    if device.target.is_gpu:
        raise Misuse(
            "expected a processor to package a model for; found a GPU. Use autotune build, and autotune.load there",
            code="AT730",
        )


def _machine(target: Target) -> str:
    """The machine of a target, as `platform.machine` says it."""
    triple = target.attr("mtriple")
    return platform.machine() if triple is None else str(triple).partition("-")[0]


def _runtime_files(request: PackageRequest) -> RuntimeFiles:
    if request.runtime is not None:
        return runtime_in(request.runtime)
    machine = _machine(request.device.target)
    if machine != platform.machine():
        raise Misuse(
            f"expected TVM's runtime libraries for {machine}; found those of this machine ({platform.machine()}) "
            f"alone. Unpack the wheels apache-tvm {version('apache-tvm')} and apache-tvm-ffi "
            f"{version('apache-tvm-ffi')} for {machine}, and name the folder of their libraries with --runtime",
            code="AT730",
        )
    return installed_runtime()


def _checked(library: Path, request: PackageRequest, folder: Path) -> CheckedRun:
    """The runs of a build, or of one for this machine with default schedules where the device is another one."""
    model, device = request.model, request.device
    if not device.is_here:
        device = local_device()
        built = compile(model, device.target, TuningLog.in_memory(), device.fingerprint)
        library = built.save(folder / "here.so")
    return checked_run(model, library, device, request.samples)


def _metadata(
    request: PackageRequest,
    built: Build,
    library: Path,
    files: RuntimeFiles,
    ran: tuple[StoredRun, CheckedRun],
) -> Metadata:
    model, device = request.model, request.device
    run, checked = ran
    digest = _digest(library)
    needs = elf_needs([library, files.runtime, files.ffi])
    features = known_features(needs.machine) & cpu_features(device.target)
    names = output_names(model.path, len(run.outputs))
    return Metadata(
        module=module_name(model.path.stem),
        version=f"1.0+b{digest[:12]}",
        inputs=_inputs(model),
        outputs=tuple(
            TensorSpec(name=name, shape=one.shape, dtype=str(one.dtype))
            for name, one in zip(names, run.outputs, strict=True)
        ),
        threads=device.threads,
        requires=Requirements(
            machine=needs.machine,
            cpu_features=tuple(sorted(features)),
            glibc=needs.glibc,
            libraries=needs.others,
            tvm=version("apache-tvm"),
            tvm_ffi=version("apache-tvm-ffi"),
        ),
        provenance=Provenance(
            model=one_line(model.path.name),
            model_sha256=_digest(model.path),
            library_sha256=digest,
            log=None if request.log_name is None else one_line(request.log_name),
            device=one_line(device.fingerprint.name),
            target=str(device.target),
            autotune=version("autotune"),
            latency_secs=checked.trial.latency.secs if device.is_here else None,
        ),
        missed_share=built.coverage.missed_share,
        plan=model.plan if isinstance(model, DynamicModel) else None,
        coverage=tuple(
            OperatorCoverage(
                name=row.name,
                calls=row.calls,
                status=row.status.value,
                reason=row.reason,
                share=row.share,
                tuned_secs=row.tuned_secs,
            )
            for row in built.coverage.rows
        ),
    )


def _inputs(model: Model | DynamicModel) -> tuple[TensorSpec, ...]:
    """The inputs, with ranges of sizes where there are any."""
    ranges = {
        (number, dim): str(axis.sizes)
        for axis in (model.plan.inputs.axes if isinstance(model, DynamicModel) else ())
        for number, dim in axis.places
    }
    return tuple(
        TensorSpec(
            name=spec.name,
            shape=spec.shape,
            dtype=spec.dtype,
            sizes=tuple(ranges.get((number, dim), str(size)) for dim, size in enumerate(spec.shape))
            if ranges
            else (),
        )
        for number, spec in enumerate(model.inputs)
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
