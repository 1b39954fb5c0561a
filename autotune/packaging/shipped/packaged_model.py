"""The model of a package: what its files say of it, and the model itself, loaded when it is first called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec
import numpy as np
import numpy.typing as npt
import tvm_ffi

from autotune.deployment.kernel_pool import CallPlace, threads_within_quota
from autotune.deployment.library import Array, Library, as_returned, load_module
from autotune.deployment.shape_dispatch import DynamicExecutable
from autotune.machine.cpu_features import is_this_machine, missing_features
from autotune.models.shape_plan import MAIN
from autotune.packaging.metadata import Metadata, Requirements, TensorSpec
from autotune.packaging.shipped.runtime_library import load_runtime
from search_spaces.errors import AutotuneError, Misuse

# What rounding explains where the C library's functions differ, relative to an element or the root mean square.
_TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}


@dataclass(frozen=True, eq=False)
class PackagedModel:
    """A loaded model; threads may share it, and wait for each other.

    dynamic: calls the library where sizes differ from call to call, None elsewhere.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    library: Library
    dynamic: DynamicExecutable | None = None

    def run(self, *values: npt.ArrayLike, **named: npt.ArrayLike) -> Array | tuple[Array, ...]:
        """The outputs for inputs in the order of `inputs`, or by name: an array, or a tuple where there are several.

        Raises Misuse where their number, a name, a shape or a dtype is not the model's.
        """
        arrays = _ordered(self.inputs, values, named)
        if self.dynamic is not None:
            return self.dynamic(*arrays)
        for spec, array in zip(self.inputs, arrays, strict=True):
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise Misuse(f"expected {spec}; found {array.dtype} {array.shape}", code="AT709")
        return as_returned(self.library.run(MAIN, arrays))

    def clone(self, threads: int | None = None) -> PackagedModel:
        """A clone for another thread: it shares the weights, and the two need not wait for each other.

        threads: for kernels; by default as many as this one has.
        """
        library = self.library.clone(threads)
        dynamic = DynamicExecutable(library, self.dynamic.plan) if self.dynamic else None
        return PackagedModel(self.inputs, self.outputs, library, dynamic)


@dataclass(frozen=True, eq=False)
class Package:
    """A package's folder, with `metadata.json`, the machine code, the runtime library and stored runs."""

    folder: Path
    metadata: Metadata
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _loaded: list[PackagedModel] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Package:
        """Reads a package's metadata; nothing of it is loaded yet."""
        return cls(folder, msgspec.json.decode((folder / "metadata.json").read_bytes(), type=Metadata))

    def load(self, threads: int | None = None, place: CallPlace = CallPlace.KERNEL_THREAD) -> PackagedModel:
        """The model, loaded anew.

        threads: for kernels, at most as many as this process has processors; by default what the model was tuned for,
                 as far as a CPU quota pays for them;
        place:   of the calls; in the calling thread they are faster, but forked children cannot end in order.
        Raises Misuse where this machine cannot run the machine code.
        """
        metadata = self.metadata
        _check_machine(metadata.requires, metadata.provenance.target)
        load_runtime(self.folder / "lib" / "libtvm_runtime.so", metadata.requires.tvm)
        inputs, outputs = metadata.inputs, metadata.outputs
        if any(spec.dtype not in np.sctypeDict for spec in (*inputs, *outputs)):
            import ml_dtypes  # noqa: F401 - makes NumPy know them
        module = load_module((self.folder / "model.so").resolve())
        wanted = threads or threads_within_quota(metadata.threads)
        library = Library(module, "cpu", wanted, place)
        dynamic = DynamicExecutable(library, metadata.plan) if metadata.plan else None
        return PackagedModel(inputs, outputs, library, dynamic)

    @property
    def model(self) -> PackagedModel:
        """The model that all callers share, loaded at the first use. Raises Misuse as `load` does."""
        with self._lock:
            if not self._loaded:
                self._loaded.append(self.load())
            return self._loaded[0]

    def self_test(self) -> None:
        """Runs the stored inputs. Raises AutotuneError where the outputs are not the stored ones."""
        with np.load(self.folder / "runs.npz", allow_pickle=False) as stored:
            number = 0
            while f"run{number}_output0" in stored:
                self._test(number, stored)
                number += 1

    def _test(self, number: int, stored: Mapping[str, Array]) -> None:
        model = self.model
        values = [
            stored[f"run{number}_input{place}"].view(np.dtype(spec.dtype))
            for place, spec in enumerate(self.metadata.inputs)
        ]
        found = model.run(*values)
        for place, (spec, output) in enumerate(
            zip(self.metadata.outputs, found if isinstance(found, tuple) else (found,), strict=True)
        ):
            wanted = stored[f"run{number}_output{place}"].view(output.dtype)
            if not _is_equal(output, wanted):
                raise AutotuneError(
                    f"expected the stored output {spec.name!r} for the stored inputs {number}; found another. The "
                    "package is damaged, or this machine computes something else; package the model anew",
                    code="AT732",
                )


def _check_machine(requires: Requirements, target: str) -> None:
    """Raises Misuse where this process cannot run the machine code."""
    built_for = f"{requires.machine}, {target}"
    if not is_this_machine(requires.machine):
        raise Misuse(
            f"expected the machine that the package was built for ({built_for}); found another kind of "
            "processor. Package the model for this one",
            code="AT731",
        )
    missing = missing_features(requires.machine, requires.cpu_features)
    if missing:
        raise Misuse(
            f"expected a processor with {', '.join(missing)}, as the package was built for {built_for}; found "
            "one without. Package the model for this processor",
            code="AT731",
        )
    if tvm_ffi.__version__ != requires.tvm_ffi:
        raise Misuse(
            f"expected apache-tvm-ffi {requires.tvm_ffi}, which the package was built with; found "
            f"{tvm_ffi.__version__}. Install that version",
            code="AT731",
        )


def _ordered(
    specs: Sequence[TensorSpec], values: Sequence[npt.ArrayLike], named: Mapping[str, npt.ArrayLike]
) -> list[Array]:
    """The inputs in order. Raises Misuse where one is missing, too many, or of another name."""
    rest = [spec.name for spec in specs[len(values) :]]
    if len(values) > len(specs) or sorted(rest) != sorted(named):
        found = [f"{len(values)} by position"] if values else []
        found += [repr(name) for name in named]
        raise Misuse(
            f"expected the inputs {', '.join(repr(spec.name) for spec in specs)}; found {', '.join(found) or 'none'}",
            code="AT709",
        )
    return list(map(np.asarray, (*values, *(named[name] for name in rest))))


def _is_equal(found: Array, wanted: Array) -> bool:
    if found.shape != wanted.shape or str(wanted.dtype) not in _TOLERANCE:
        return np.array_equal(found, wanted)
    mine, right = found.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(right)
    scale = np.sqrt(np.mean(np.square(right[finite]))) if finite.any() else 0.0
    bounds = _TOLERANCE[str(wanted.dtype)] * np.maximum(np.abs(right), scale)
    close = np.abs(mine[finite] - right[finite]) <= bounds[finite]
    return bool(close.all()) and np.array_equal(mine[~finite], right[~finite], equal_nan=True)
