"""An ONNX graph of the benchmarked networks' operators as a module of PyTorch: the same weights and arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
import torch.nn.functional as f
from onnx import helper, numpy_helper

Tensor = torch.Tensor


def _pad(attributes: dict[str, Any]) -> int:
    pads = set(attributes.get("pads", [0]))
    if len(pads) != 1:
        raise ValueError(f"expected the same padding on all sides, found {attributes['pads']}")
    return int(pads.pop())


def _window(pool: Callable[..., Tensor], **options: object) -> Callable[..., Tensor]:
    return lambda a, x: pool(x, a["kernel_shape"], a.get("strides"), _pad(a), **options)


def _gemm(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.addmm(b, x, w.T if a.get("transB") else w)


#: A function of a node's attributes and inputs for each operator.
OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Conv": lambda a, x, w, b=None: f.conv2d(x, w, b, a.get("strides", 1), _pad(a), 1, a.get("group", 1)),
    "BatchNormalization": lambda a, x, g, b, m, v: f.batch_norm(x, m, v, g, b, eps=a.get("epsilon", 1e-5)),
    "Relu": lambda _, x: f.relu(x),
    "MaxPool": _window(f.max_pool2d),
    "AveragePool": _window(f.avg_pool2d),
    "Sum": lambda _, x, y: x + y,
    "Add": lambda _, x, y: x + y,
    "Mul": lambda _, x, y: x * y,
    "MatMul": lambda _, x, y: x @ y,
    "Gemm": _gemm,
    "Reshape": lambda _, x, shape: x.reshape(shape.tolist()),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", 1)),
    "LayerNormalization": lambda a, x, g, b: f.layer_norm(x, g.shape, g, b, a.get("epsilon", 1e-5)),
    "Gelu": lambda _, x: f.gelu(x),
}


class TorchGraph(torch.nn.Module):
    """The module; its one argument is the graph's input that is no weight. Weights lie on the device."""

    def __init__(self, model: onnx.ModelProto, device: str) -> None:
        super().__init__()
        graph = model.graph
        self.weights: dict[str, Tensor] = {}
        for one in graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(one).copy())
            # Shapes are read on the host.
            self.weights[one.name] = values.to(device) if values.is_floating_point() else values
        [self.input] = [one.name for one in graph.input if one.name not in self.weights]
        self.output = graph.output[0].name
        self.nodes = [
            (
                OPERATORS[node.op_type],
                {one.name: helper.get_attribute_value(one) for one in node.attribute},
                tuple(node.input),
                node.output[0],
            )
            for node in graph.node
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The graph's first output."""
        values = {**self.weights, self.input: x}
        for function, attributes, inputs, output in self.nodes:
            values[output] = function(attributes, *(values[name] for name in inputs if name))
        return values[self.output]
