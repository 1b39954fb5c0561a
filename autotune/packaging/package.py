"""A package of a built model: its contents, and the forms that they are written in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autotune.packaging.metadata import Metadata

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class StoredRun:
    """Inputs of a model and its outputs for them, in the order of the metadata, that a self test runs again."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class PackageContents:
    """The contents of a package, whatever its form.

    library: the machine code of the model with its weights, which `autotune.load` reads;
    runtime: TVM's runtime library for the same machine, libtvm_runtime.so;
    ffi:     the library that it needs, libtvm_ffi.so.
    """

    metadata: Metadata
    library: Path
    runtime: Path
    ffi: Path
    runs: tuple[StoredRun, ...]


class PackageForm(Protocol):
    """A form that packages are written in; a value without state."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def takes_ranges(self) -> bool:
        """Whether it holds models with ranges of sizes."""
        ...

    def write(self, contents: PackageContents, folder: Path) -> Path:
        """Writes the package into an existing folder; the same contents give the same bytes.

        A file of that name is replaced in one step. Returns its path; raises StorageError where it cannot be written.
        """
        ...


def stored_arrays(runs: tuple[StoredRun, ...]) -> dict[str, Array]:
    """The arrays of stored runs by name: `run0_input0`, `run0_output0`, and so on."""
    named: dict[str, Array] = {}
    for number, run in enumerate(runs):
        named |= {f"run{number}_input{place}": np.asarray(one) for place, one in enumerate(run.inputs)}
        named |= {f"run{number}_output{place}": np.asarray(one) for place, one in enumerate(run.outputs)}
    return named
