"""Inputs of a model from files, that outputs are compared on beside random ones: NumPy's .npz and .npy."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from autotune.models.onnx_file import InputSpec
from search_spaces.errors import Misuse, last_line

Array = npt.NDArray[Any]
#: The inputs of one run of a model, in the order of its file.
Sample = tuple[Array, ...]

_SUFFIXES = (".npz", ".npy")
# Each of them is run by the reference three times, and by every build.
_MOST_SAMPLES = 64


def read_samples(paths: Sequence[str | Path], inputs: Sequence[InputSpec]) -> tuple[Sample, ...]:
    """The samples in files and folders of files, each of all inputs.

    The arrays of an .npz file have the inputs' names, or none, and then their order; an .npy file is of a model with
    one input. Nothing is unpickled, and nothing read before its type and shape are found to be the input's.
    Raises Misuse that names the file and what is wrong with it.
    """
    files = [file for path in paths for file in _files(Path(path))]
    if len(files) > _MOST_SAMPLES:
        raise Misuse(f"expected at most {_MOST_SAMPLES} samples; found {len(files)}", code="AT114")
    return tuple(_read(file, inputs) for file in files)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if not found:
        raise Misuse(f"expected samples, .npz or .npy files, in the folder {path}; found none", code="AT114")
    return found


def _read(path: Path, inputs: Sequence[InputSpec]) -> Sample:
    if not path.is_file():
        raise Misuse(f"expected a sample at {path}; there is no such file", code="AT114")
    try:
        if not zipfile.is_zipfile(path):
            _in_order(path, [""], inputs)
            with path.open("rb") as stream:
                return (_array(path, stream, inputs[0]),)
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            arrays = []
            for name, spec in zip(_in_order(path, list(members), inputs), inputs, strict=True):
                with archive.open(members[name]) as stream:
                    arrays.append(_array(path, stream, spec))
            return tuple(arrays)
    except Misuse:
        raise
    except Exception as error:
        # NumPy and zipfile raise nearly anything for a damaged file.
        raise Misuse(
            f"expected a sample that numpy.savez or numpy.save wrote; {path} is damaged or none: {last_line(error)}",
            code="AT114",
        ) from error


def _in_order(path: Path, names: Sequence[str], inputs: Sequence[InputSpec]) -> list[str]:
    """The names of a file's arrays in the order of the inputs."""
    wanted = [spec.name for spec in inputs]
    if sorted(names) == sorted(wanted):
        return wanted
    unnamed = [f"arr_{place}" for place in range(len(wanted))]
    if sorted(names) == sorted(unnamed):
        return unnamed
    if list(names) == [""] and len(wanted) == 1:
        return [""]
    found = ", ".join(map(repr, names[:8])) if any(names) else "one array without a name"
    raise Misuse(
        f"expected arrays of the inputs {', '.join(map(repr, wanted))} in {path}; found {found}",
        code="AT114",
    )


def _array(path: Path, stream: IO[bytes], spec: InputSpec) -> Array:
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    wanted = np.dtype(spec.dtype)
    # NumPy writes bfloat16 and its kin as bytes without a type.
    is_same = dtype == wanted or (
        dtype.kind == "V" and wanted.kind == "V" and dtype.itemsize == wanted.itemsize
    )
    if shape != spec.shape or not is_same or dtype.hasobject:
        raise Misuse(
            f"expected {spec.dtype} {spec.shape} for the input {spec.name!r} in {path}; found {dtype} {shape}",
            code="AT114",
        )
    size = wanted.itemsize * math.prod(shape)
    data = stream.read(size)
    if len(data) != size:
        raise ValueError(f"it ends after {len(data)} of {size} bytes")
    return np.frombuffer(data, wanted).reshape(shape, order="F" if is_fortran else "C").copy()
