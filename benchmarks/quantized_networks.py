"""Networks in 8 bits and in halves, made by ONNX Runtime's quantization, as ONNX files for `whole_models.py`.

    python benchmarks/quantized_networks.py out/quantized                     # of five networks
    python benchmarks/quantized_networks.py out/quantized MODEL.onnx ...      # of files with fixed shapes
    python benchmarks/whole_models.py out/quantized/*.onnx --time 0

Of each network: `-dynamic` (weights of 8 bits, data quantized by the range of each run), `-qdq` (QuantizeLinear and
DequantizeLinear around operators, a scale for each output channel), `-qoperator` (QLinearConv and the like) and
`-half`. Ranges are taken from random inputs, so outputs say nothing of accuracy, and times are what they are. Without
VNNI ONNX Runtime's products of `-qdq` and `-qoperator` saturate; ours are exact, and are judged by exact references.
Networks without a convolution have no `-qoperator`, others no `-dynamic`. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import whole_models
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

_NETWORKS = ("squeezenet", "resnet50", "bert-4x128", "vit-s", "mobilenet-v3")
# The first operator set with a scale for each channel, and one that all tools know.
_LEAST_OPSET, _OPSET = 13, 17
_CALIBRATION_RUNS = 2


class RandomInputs(CalibrationDataReader):
    """A few normally distributed inputs of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        rng = np.random.default_rng(0)
        constants = {tensor.name for tensor in model.graph.initializer}
        shapes = {
            value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
            for value in model.graph.input
            if value.name not in constants
        }
        self._runs = iter(
            [
                {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
                for _ in range(_CALIBRATION_RUNS)
            ]
        )

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of the next run, None after the last."""
        return next(self._runs, None)


def forms(path: Path, folder: Path) -> Iterator[Path]:
    """Writes the forms of a network, one after the other."""
    model = onnx.load(path)
    if max(one.version for one in model.opset_import if not one.domain) < _LEAST_OPSET:
        model = version_converter.convert_version(model, _OPSET)

    def form(name: str) -> Path:
        return folder / f"{path.stem}-{name}.onnx"

    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(plain), skip_symbolic_shape=True)
        prepared = onnx.load(plain)
        is_convolutional = any(node.op_type == "Conv" for node in model.graph.node)
        static = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        kinds = {"qdq": QuantFormat.QDQ} | ({"qoperator": QuantFormat.QOperator} if is_convolutional else {})
        for name, kind in kinds.items():
            quantize_static(str(plain), str(form(name)), RandomInputs(prepared), quant_format=kind, **static)
            yield form(name)
        if any(node.op_type in ("MatMul", "Gemm") for node in model.graph.node):
            quantize_dynamic(str(plain), str(form("dynamic")), weight_type=QuantType.QInt8)
            yield form("dynamic")
    onnx.save(convert_float_to_float16(model), form("half"))
    yield form("half")


def main() -> None:
    """Writes the files, and prints their names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        cases = {case.name: case for case in whole_models.cases()}
        for path in options.models or [cases[name].path(Path(scratch)) for name in _NETWORKS]:
            for written in forms(path, options.folder):
                print(written, flush=True)


if __name__ == "__main__":
    main()
