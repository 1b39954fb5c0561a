"""From a model and a tuning log to a built model, its weights packed ahead of time (imports TVM)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import tvm
from tvm import relax
from tvm.support import cc

from autotune.builders.cuda_callback import use_cuda_compiler
from autotune.builders.local_builder import LocalBuilder
from autotune.deployment.call_memory import CALL_MEMORY
from autotune.deployment.coverage import Coverage, coverage
from autotune.deployment.default_schedules import with_default_schedules
from autotune.deployment.executable import DEVICE, INPUTS, THREADS, Executable, SavedModel, load
from autotune.deployment.library import Array, Library
from autotune.deployment.memory_sharing import call_memory, reading_inputs_in_place
from autotune.deployment.shape_dispatch import PLAN, DynamicExecutable
from autotune.deployment.side_by_side import EngineLatency, TimingSettings, measure
from autotune.deployment.weight_packs import count_packs, with_split_packs
from autotune.models.algorithm_choice import lower_by_log
from autotune.models.dynamic_inputs import DynamicInputs
from autotune.models.dynamic_model import DynamicModel, import_any_size
from autotune.models.lowering import lower
from autotune.models.merging import merged
from autotune.models.model import Model
from autotune.models.onnx_file import InputSpec
from autotune.models.shape_plan import FALLBACK
from autotune.models.task_extraction import calls, has_graph
from autotune.workers.room import require_storage, scratch_folder
from search_spaces.errors import AutotuneError, Misuse, StorageError
from search_spaces.fork_lock import graph_lock
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE, with_llvm_options
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.mma_intrinsics import code_generation
from search_spaces.tensor_ir.modules import is_cpu, tvm_target, with_host
from tuning_logs.atomic_file import atomically
from tuning_logs.exchange.metaschedule_database import database
from tuning_logs.record_store import RecordStore
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure
from tuning_logs.selection.schedule_choice import OtherDevices


@dataclass(frozen=True, eq=False)
class Build:
    """A model compiled with the schedules of a log.

    coverage:      which operators are tuned, which are not and why;
    prepacked:     how many weights were packed into another layout during the build;
    runtime_packs: how many are packed anew in every run, as their packing could not be done ahead of time;
    inputs:        at the largest sizes, where the model has dynamic axes.
    """

    executable: Executable | DynamicExecutable
    coverage: Coverage
    target: Target
    inputs: tuple[InputSpec, ...]
    prepacked: int
    runtime_packs: int

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        """Runs the model in this process; see `Executable` and `DynamicExecutable`."""
        return (self.executable if is_cpu(self.target) else self._loaded)(*inputs)

    @cached_property
    def _loaded(self) -> Executable | DynamicExecutable:
        """The model as a library: TVM finds the runtime of a GPU for those alone."""
        with scratch_folder("autotune-run-") as scratch:
            return load(self.save(Path(scratch) / "model.so"))

    def measure(self, seed: int = 0, rounds: int = 5) -> EngineLatency:
        """Times the model on seeded inputs, in a process of its own, on as many threads as cores."""
        with scratch_folder("autotune-time-") as scratch:
            threads = threads_of(self.target)
            engine = SavedModel(self.save(Path(scratch) / "model.so"), threads=threads)
            return measure(engine, TimingSettings(self.inputs, threads, rounds, seed=seed))

    def save(self, path: str | Path, linker: str | None = None) -> Path:
        """Writes the model as a shared library that `autotune.load` reads; a file of that name is replaced.

        linker: a compiler driver for the target, where it is another machine's. Raises AutotuneError where there is
        none to link with or the path cannot be written; then what was there is left as it is.
        """
        path = Path(path)
        linker = linker or cc.get_cc()
        if linker is None or shutil.which(linker) is None:
            raise AutotuneError(
                f"expected a C++ compiler to link with; found no {linker or 'g++ or clang++'}. Install it",
                code="AT701",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                atomically(path) as scratch,
                tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder,
            ):
                # TVM tells by the suffix what to write.
                library = Path(folder) / "model.so"
                self._export(library, linker)
                library.rename(scratch)
        except OSError as error:
            raise StorageError(
                f"the built model could not be written to {path}: {error}", code="AT803"
            ) from error
        except RuntimeError as error:
            raise AutotuneError(
                f"the built model could not be written to {path}: {error}", code="AT803"
            ) from error
        return path

    def _export(self, library: Path, linker: str) -> None:
        """Raises RuntimeError where the linker fails, and StorageError where that is for want of room on disk."""
        try:
            self.executable.library.vm_executable.export_library(
                str(library), fcompile=cc.cross_compiler(linker)
            )
        except RuntimeError as error:
            require_storage(str(error), library.parent)
            raise


@graph_lock
def compile(  # noqa: PLR0913 - public since 0.1
    model: Model | DynamicModel | tvm.IRModule,
    target: Target,
    log: RecordStore,
    device: DeviceFingerprint | None = None,
    others: OtherDevices = OtherDevices.REFUSED,
    linker: str | None = None,
) -> Build:
    """Builds a model with the best record of each of its operators; device: whose records count.

    A record is used where it beats the operator's default beyond noise. An operator without a usable record gets the
    schedule of a similar one, if there is one that applies and builds, else a default schedule; the coverage says which
    and why. On GPUs it keeps TVM's naive loops. others: whether the records of other devices may stand in; linker: a C
    compiler driver for the target, where it is another machine's. A model with dynamic axes has no fallback on GPUs.
    Raises Misuse for a model without a graph and for a target that TVM does not know.
    """
    if not isinstance(model, Model | DynamicModel) and not has_graph(model):
        raise Misuse(
            "expected a model with a graph to build; found a bare operator, which is built by tuning it",
            code="AT702",
        )
    compiled_for = tvm_target(target)
    if isinstance(model, DynamicModel) and target.is_gpu:
        # Loops of any length without a schedule are bound to no threads, which a GPU needs.
        model = model.without_fallback()
    lowered = lower_by_log(model, target, log, device)
    with ExitStack() as stack:
        records = database(log, target, device, others, _TrialBuild(stack, linker or "cc"))
        with compiled_for, records, tvm.transform.PassContext(opt_level=3):
            scheduled = relax.transform.MetaScheduleApplyDatabase()(lowered)
            scheduled, by_default = with_default_schedules(scheduled, compiled_for)
            split = with_split_packs(scheduled)
            packed = _computed(split)
    found = coverage([name for name, _ in calls(lowered)], records.lookups, log, device, by_default)
    plan = model.plan if isinstance(model, DynamicModel) else None
    specs = model.inputs if isinstance(model, Model | DynamicModel) else _inputs(model)
    texts = {
        INPUTS: msgspec.json.encode(specs).decode(),
        DEVICE: _device_of(target),
    }
    if plan is not None:
        texts[PLAN] = plan.to_json()
    if is_cpu(target):
        texts[THREADS] = str(threads_of(target))
    packed.update(_with_texts(texts))
    if target.is_gpu:
        use_cuda_compiler()
    with code_generation(compiled_for):
        built = _built(packed, target)
    library = _library(built, target)
    executable = Executable(library) if plan is None else DynamicExecutable(library, plan)
    to_pack, left = count_packs(split), count_packs(packed)
    return Build(executable, found, target, specs, to_pack - left, left)


@graph_lock
def compile_any_size(path: Path, inputs: DynamicInputs, target: Target) -> Library:
    """Builds a model for any size of its axes, untuned; the function is called `FALLBACK`.

    Raises whatever TVM raises, and Misuse where it cannot import the model with symbolic shapes.
    """
    lowered = merged({FALLBACK: lower(import_any_size(path, inputs), target)})
    return _library(_built(lowered, target), target)


def _computed(module: tvm.IRModule) -> tvm.IRModule:
    """The module with calls on constants computed, without the functions and the tuples that are of no use then."""
    passes = [
        relax.transform.FoldConstant(),
        relax.transform.CanonicalizeBindings(),
        relax.transform.DeadCodeElimination(),
    ]
    return tvm.transform.Sequential(passes)(module)


def _built(module: tvm.IRModule, target: Target) -> Any:
    """The executable of a module of scheduled functions."""
    compiled_for = tvm_target(target)
    passes = _to_executable(compiled_for)
    viewing = relax.transform.RewriteDataflowReshape()(module)
    if is_cpu(target):
        kernels = kernel_passes(reading_inputs_in_place(viewing))
        kernels.update(_with_texts({CALL_MEMORY: call_memory(viewing).to_json()}))
        with (code_target := with_llvm_options(compiled_for)):
            return relax.build(kernels, target=code_target, relax_pipeline=passes, tir_pipeline=CPU_PIPELINE)
    return relax.build(viewing, target=with_host(target), relax_pipeline=passes)


def threads_of(target: Target) -> int:
    """The number of threads that kernels for the target are tuned for."""
    return int(str(target.attr("num-cores") or 1))


def _device_of(target: Target) -> str:
    """TVM's name of the kind of device that runs code for a target."""
    return "cpu" if is_cpu(target) else str(tvm_target(target).kind.name)


def _library(built: Any, target: Target) -> Library:
    return Library(built, _device_of(target), threads_of(target) if is_cpu(target) else None)


class _TrialBuild:
    """A trial build of a candidate in a worker process, which is started for the first one."""

    def __init__(self, stack: ExitStack, linker: str) -> None:
        self._stack, self._linker = stack, linker
        self._builder: LocalBuilder | None = None

    def __call__(self, candidate: Candidate) -> bool:
        if not is_cpu(candidate.task.target):
            return True
        self._builder = self._builder or self._stack.enter_context(
            LocalBuilder(workers=1, linker=self._linker)
        )
        [built] = self._builder.build([candidate])
        return not isinstance(built, Failure)


def _with_texts(texts: Mapping[str, str]) -> tvm.IRModule:
    """A module with functions that return these texts."""
    builder = relax.BlockBuilder()
    for name, text in texts.items():
        with builder.function(name, []):
            builder.emit_func_output(tvm.ir.StringImm(text))
    return builder.get()


def _inputs(module: tvm.IRModule) -> tuple[InputSpec, ...]:
    return tuple(
        InputSpec(str(param.name), tuple(int(size) for size in param.ty.shape), str(param.ty.dtype))
        for param in module["main"].params
    )


def _to_executable(target: tvm.target.Target) -> tvm.transform.Pass:
    """The rest of TVM's default pipeline, from functions with views on."""
    return tvm.transform.Sequential(
        [
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            *relax.pipeline.finalize_passes(target),
        ]
    )
