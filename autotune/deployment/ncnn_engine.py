"""ncnn as a peer of a build: the file converted by pnnx, as many threads (imports ncnn where it is opened)."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from autotune.models import onnx_file
from autotune.models.extras import needing
from autotune.models.onnx_file import Shape
from search_spaces.errors import AutotuneError, Misuse

Array = npt.NDArray[Any]

_CONVERSION_SECS = 300


@dataclass(frozen=True, slots=True)
class Ncnn:
    """An ONNX file as an engine for a worker process (`autotune.deployment.engine`); shapes: of all inputs by name."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int
    name: str = "ncnn"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """The converted network on the CPU in float32, for inputs of batch 1.

        Raises AutotuneError for a model that pnnx does not convert, of which ncnn does not know an operator, or of
        another batch: ncnn would compute the first of several images alone.
        """
        ncnn: Any = needing("bench", "ncnn", "to run a model in ncnn")
        model = onnx_file.read(self.path, dict(self.shapes))
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        for reduced in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(net.opt, f"use_{reduced}", False)
        with tempfile.TemporaryDirectory(prefix="autotune-ncnn-") as scratch:
            converted = _converted(model, Path(scratch))
            if net.load_param(f"{converted}.ncnn.param") or net.load_model(f"{converted}.ncnn.bin"):
                raise AutotuneError(f"expected operators that ncnn knows in {self.path.name}", code="AT704")
        fed, made, shapes = net.input_names(), net.output_names(), _output_shapes(model)
        ends = len(onnx_file.inputs(model)), len(shapes)
        if (len(fed), len(made)) != ends:
            raise AutotuneError(
                f"expected pnnx to keep the {ends[0]} inputs and {ends[1]} outputs of {self.path.name}; "
                f"found {len(fed)} and {len(made)}",
                code="AT704",
            )

        _check_batch(model, self.path)

        def run(*inputs: Array) -> tuple[Array, ...]:
            with net.create_extractor() as extractor:
                for name, value in zip(fed, inputs, strict=True):
                    extractor.input(name, ncnn.Mat(np.ascontiguousarray(value[0])))
                found = [np.array(extractor.extract(name)[1]) for name in made]
            return tuple(_shaped(array, shape) for array, shape in zip(found, shapes, strict=True))

        return run


def _check_batch(model: onnx.ModelProto, path: Path) -> None:
    for value in onnx_file.inputs(model):
        if value.shape[:1] not in ((), (1,)):
            raise AutotuneError(
                f"expected a first axis of size 1 in each input of {path.name}, since ncnn computes no batches; "
                f"found {value.shape[0]} in {value.name}",
                code="AT704",
            )


def _output_shapes(model: onnx.ModelProto) -> list[Shape]:
    """The shapes of the outputs, with 0 where a size is not known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    return [tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in inferred]


def _shaped(array: Array, shape: Shape) -> Array:
    """An output as the file describes it: ncnn knows no batch, and drops axes of size 1."""
    return array.reshape(shape) if math.prod(shape) == array.size else array[np.newaxis]


def _converted(model: onnx.ModelProto, scratch: Path) -> Path:
    """Converts a model with pnnx; returns the path that all parts of the result begin with."""
    package = find_spec("pnnx")
    if package is None or package.origin is None:
        raise Misuse(
            "expected pnnx to convert a model for ncnn; found none. Install it without PyTorch, which its converter "
            "does not need: pip install --no-deps pnnx",
            code="AT802",
        )
    onnx.save(model, scratch / "model.onnx")
    command = [str(Path(package.origin).with_name("pnnx")), "model.onnx", "fp16=0"]
    done = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True, timeout=_CONVERSION_SECS, check=False
    )
    if done.returncode or not (scratch / "model.ncnn.param").exists():
        raise AutotuneError(
            f"expected pnnx to convert the model; found exit code {done.returncode}", code="AT704"
        )
    return scratch / "model"
