"""Metadata of a package, as `metadata.json` in it: the model's tensors, what it was built for, and its provenance."""

from __future__ import annotations

from typing import Literal

import msgspec

from autotune.models.shape_plan import ShapePlan


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output of a model: its name in the file, its shape, and its dtype in numpy's words.

    shape: at the largest sizes; sizes: of an input with ranges of sizes, as texts: ("1..8", "3"), empty elsewhere.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sizes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape} for {self.name!r}"


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a package runs on.

    machine:      as `platform.machine` says it: x86_64, aarch64;
    cpu_features: of instruction sets that the machine code may use, by LLVM's names;
    glibc:        the oldest version, as in (2, 27);
    libraries:    that are needed beside those of every Linux with glibc;
    tvm, tvm_ffi: the versions of TVM's runtime library and of its foreign function interface.
    """

    machine: str
    cpu_features: tuple[str, ...]
    glibc: tuple[int, int]
    libraries: tuple[str, ...]
    tvm: str
    tvm_ffi: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Origin of a build.

    model_sha256, library_sha256: digests of the model's file and of the machine code with its weights;
    log:         the tuning log as the user named it, None of a build with default schedules;
    device, target: that it was built for, as the device's name and the compiler's target;
    latency_secs: the median of its runs on that device after the build, None where it was not measured there.
    """

    model: str
    model_sha256: str
    library_sha256: str
    log: str | None
    device: str
    target: str
    autotune: str
    latency_secs: float | None


class OperatorCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One operator's schedule; see `autotune.deployment.coverage.CoverageRow`."""

    name: str
    calls: int
    status: str
    reason: str
    share: float | None
    tuned_secs: float | None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The document `metadata.json` of a package.

    module:  the name that a wheel is imported by, a valid identifier made from the model's file name;
    version: of the package; it differs where the library differs;
    threads: for kernels, that the model was tuned for;
    plan:    of a model with ranges of sizes: which sizes were built, and how others are computed;
    missed_share: the expected share of the time of operators without a record of their own.
    """

    format: Literal[1] = 1
    module: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    threads: int
    requires: Requirements
    provenance: Provenance
    missed_share: float
    plan: ShapePlan | None = None
    coverage: tuple[OperatorCoverage, ...]

    def to_json(self) -> bytes:
        """The document, the same bytes for the same metadata."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
