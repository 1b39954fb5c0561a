"""A model that is compared: its file, inputs and samples, read without an import of its graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import external_data_helper

from autotune.deployment.samples import Sample, read_samples
from autotune.models.model import read_inputs_with_notices
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import FixedSizes, InputSpec, Shape
from search_spaces.errors import Misuse


@dataclass(frozen=True)
class ModelFile:
    """A model's file with the sizes of its free dimensions, see `autotune.load_model`.

    samples: files of inputs to compare outputs on, see `autotune.check`.
    """

    path: Path
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A model as it was read. size_bytes: of the file, with its external data."""

    name: str
    path: Path
    inputs: tuple[InputSpec, ...]
    samples: tuple[Sample, ...]
    notices: tuple[str, ...]
    size_bytes: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of all inputs by name, in the order of the file."""
        return {spec.name: spec.shape for spec in self.inputs}


def read_subjects(models: Sequence[str | Path | ModelFile]) -> list[Subject]:
    """Reads models; those whose files have the same name are called by their paths.

    Raises Misuse for a file that is no model, for sizes and samples that are not its own, and for one named twice.
    """
    files = [one if isinstance(one, ModelFile) else ModelFile(Path(one)) for one in models]
    stems = [file.path.stem for file in files]
    names = [
        stem if stems.count(stem) == 1 else str(file.path) for stem, file in zip(stems, files, strict=True)
    ]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise Misuse(f"expected each model once; found {repeated[0]} twice", code="AT805")
    if not files:
        raise Misuse("expected at least one model to compare; found none", code="AT805")
    return [_read(name, file) for name, file in zip(names, files, strict=True)]


def _read(name: str, file: ModelFile) -> Subject:
    inputs, notices = read_inputs_with_notices(file.path, FixedSizes(file.shapes, file.dims))
    samples = read_samples(file.samples, inputs)
    return Subject(name, file.path, inputs, samples, notices, _size_bytes(file.path))


def _size_bytes(path: Path) -> int:
    parts = {path}
    if format_of(path) is ModelFormat.ONNX:
        graph = onnx.load(path, format="protobuf", load_external_data=False).graph
        parts.update(path.parent / location for location in _external_files(graph.initializer))
    return sum(part.stat().st_size for part in parts if part.is_file())


def _external_files(tensors: Iterable[onnx.TensorProto]) -> set[str]:
    return {
        external_data_helper.ExternalDataInfo(tensor).location
        for tensor in tensors
        if external_data_helper.uses_external_data(tensor)
    }
