"""The file formats of models, told by the suffix of a file's name."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from search_spaces.errors import Misuse


class ModelFormat(Enum):
    """A file format that can be imported, by its usual suffix."""

    ONNX = ".onnx"
    #: A program that `torch.export.save` wrote.
    TORCH = ".pt2"
    TFLITE = ".tflite"


# Files that name layers or hold weights, or graphs that this version of TVM cannot import; with the way to one it can.
_OTHERS = {
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt", ".safetensors"),
        "such files hold weights, or code. Export the program: "
        "torch.export.save(torch.export.export(module.eval(), example), 'model.pt2')",
    ),
    **dict.fromkeys(
        (".keras", ".h5", ".pb", ".savedmodel"),
        "convert it with tf.lite.TFLiteConverter to a .tflite file, or with tf2onnx to an .onnx file",
    ),
    **dict.fromkeys(
        (".mlir", ".stablehlo", ".mlirbc"),
        "StableHLO is not supported. Export the model as .onnx, .pt2 or .tflite",
    ),
}


def format_of(path: Path) -> ModelFormat:
    """The format of a model file; ONNX for a suffix that is not known, as ONNX files have many.

    Raises Misuse for files of frameworks that hold no graph that can be imported, with the way to one that does.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        raise Misuse(
            f"expected a model as .onnx, .pt2 or .tflite; found {path.name}: {_OTHERS[suffix]}", code="AT102"
        )
    return next((each for each in ModelFormat if each.value == suffix), ModelFormat.ONNX)
