"""A graph that an importer returns, whatever the file's format (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass

import tvm

from autotune.models.onnx_file import InputSpec
from autotune.models.origin import Origins


@dataclass(frozen=True)
class ImportedGraph:
    """A Relax module with constant weights, whose `main` takes the inputs in the order of the file.

    notices: what was decided for the user, in sentences; origins: the nodes or layers of the file, for errors.
    """

    module: tvm.IRModule
    inputs: tuple[InputSpec, ...]
    origins: Origins
    notices: tuple[str, ...] = ()
