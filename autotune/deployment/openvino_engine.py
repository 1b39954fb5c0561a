"""OpenVINO as a peer of a build: the same file, shapes and threads (imports OpenVINO where it is opened)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from autotune.models import onnx_file
from autotune.models.extras import needing
from autotune.models.onnx_file import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OpenVino:
    """An ONNX file as an engine for a worker process (`autotune.deployment.engine`); shapes: of all inputs by name."""

    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int
    name: str = "openvino"

    def open(self) -> Callable[..., tuple[Array, ...]]:
        """The model on the CPU, compiled for the latency of single runs, in float32 where the file says so."""
        openvino: Any = needing("bench", "openvino", "to run a model in OpenVINO")
        core = openvino.Core()
        model = core.read_model(onnx_file.read(self.path, dict(self.shapes)).SerializeToString())
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            # Otherwise float32 networks run in bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()
        places = range(len(compiled.outputs))
        # Inputs that nothing reads are left out.
        order = {name: place for place, (name, _) in enumerate(self.shapes)}
        taken = [next(order[name] for name in port.get_names() if name in order) for port in compiled.inputs]

        def run(*inputs: Array) -> tuple[Array, ...]:
            request.infer([inputs[place] for place in taken], share_inputs=True)
            return tuple(request.get_output_tensor(place).data.copy() for place in places)

        return run
