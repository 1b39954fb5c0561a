"""Orders to compile a candidate, which any process can carry out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autotune.builders.artifact import Artifact, Compiled
from autotune.builders.cpu_build import compile_kernel
from autotune.builders.gpu_build import compile_gpu_kernel
from autotune.workers.process import Call
from search_spaces.config import baseline_config
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import TensorSpec, dump, load, signature


@dataclass(frozen=True, slots=True)
class CompileOrder:
    """A scheduled module as text. outputs: the number of trailing parameters that are written; linker: of the host."""

    module: str
    outputs: int
    target: Target
    linker: str

    def call(self, library: Path) -> Call:
        """The call of a worker process that writes the library."""
        if self.target.is_gpu:
            return Call(compile_gpu_kernel, (self.module, self.target, library, self.linker))
        return Call(compile_kernel, (self.module, self.outputs, self.target, library, self.linker))


class CompileOrders:
    """Makes the orders of candidates, and their artifacts; remembers the signatures of tasks."""

    def __init__(self, linker: str) -> None:
        self._linker = linker
        self._signatures: dict[str, tuple[TensorSpec, ...]] = {}

    def order(self, candidate: Candidate) -> CompileOrder:
        """The order for a candidate."""
        outputs = sum(spec.is_output for spec in self._signature(candidate.task))
        return CompileOrder(dump(candidate.schedule.mod), outputs, candidate.task.target, self._linker)

    def artifact(
        self, candidate: Candidate, library: Path, compiled: Compiled, build_secs: float
    ) -> Artifact:
        """The artifact of a candidate that was compiled."""
        return Artifact(
            candidate.task,
            candidate.config,
            library,
            build_secs,
            self._signature(candidate.task),
            compiled.prepacked,
            gpu=compiled.gpu,
            cubin=compiled.cubin,
            is_reference=candidate.config == baseline_config(candidate.task.target),
        )

    def _signature(self, task: TuningTask) -> tuple[TensorSpec, ...]:
        if task.key not in self._signatures:
            self._signatures[task.key] = signature(load(task.workload.module))
        return self._signatures[task.key]
