"""Networks that tests write in ONNX's text form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import numpy_helper


def written_network(
    signature: str, nodes: str, constants: Mapping[str, npt.ArrayLike], opset: int = 17
) -> onnx.ModelProto:
    """A model of these nodes with those of the constants that they read; outputs are of any shape.

    signature: as in ``(float[2,3] x) => (float y)``.
    """
    ir_version = 8 if opset < 21 else 10
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>'
    model = onnx.parser.parse_model(f"{header} net {signature} {{ {nodes} }}")
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in read
    )
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model
