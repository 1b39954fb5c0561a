"""Networks of today's shapes with random weights, written node by node: encoders, a vision transformer, MobileNetV3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]
_OPSET = 20


class GraphWriter:
    """Nodes and weights of a graph under construction; `add` appends a node and returns its output's name."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(seed)

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Appends a node with one output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        """Stores a tensor."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def drawn(self, *shape: int, fan_in: int) -> str:
        """Stores a normal tensor of standard deviation sqrt(2 / fan_in)."""
        scale = np.float32(np.sqrt(2.0 / fan_in))
        return self.constant(self._rng.standard_normal(shape, np.float32) * scale)

    def conv(
        self, source: str, channels: tuple[int, int], kernel: int, stride: int = 1, group: int = 1
    ) -> str:
        """A convolution with bias and same padding; channels: taken and made."""
        taken, made = channels
        fan_in = taken // group * kernel * kernel
        weight = self.drawn(made, taken // group, kernel, kernel, fan_in=fan_in)
        bias = self.drawn(made, fan_in=1000)
        pads = [kernel // 2] * 4
        return self.add("Conv", source, weight, bias, strides=[stride] * 2, pads=pads, group=group)

    def dense(self, source: str, taken: int, made: int) -> str:
        """A product with a weight matrix, plus a bias."""
        product = self.add("MatMul", source, self.drawn(taken, made, fan_in=2 * taken))
        return self.add("Add", product, self.drawn(made, fan_in=1000))

    def layer_norm(self, source: str, width: int) -> str:
        """A layer norm over the last axis."""
        scale = self.constant(self._rng.uniform(0.5, 1.5, width).astype(np.float32))
        return self.add("LayerNormalization", source, scale, self.drawn(width, fan_in=1000), axis=-1)

    def model(self, shape: tuple[int, ...], output: str, result: tuple[int, ...]) -> onnx.ModelProto:
        """The model of one input x of that shape and one output."""
        taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, result)
        graph = helper.make_graph(self.nodes, "network", [taken], [made], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)


def _attention(writer: GraphWriter, source: str, tokens: int, width: int, heads: int) -> str:
    """Multi-head self-attention with its output projection."""
    head = width // heads
    split = writer.constant(np.array([1, tokens, heads, head], np.int64))
    merged = writer.constant(np.array([1, tokens, width], np.int64))
    scale = writer.constant(np.array(head**-0.5, np.float32))

    def heads_of(permutation: list[int]) -> str:
        projected = writer.add("Reshape", writer.dense(source, width, width), split)
        return writer.add("Transpose", projected, perm=permutation)

    query, key, value = heads_of([0, 2, 1, 3]), heads_of([0, 2, 3, 1]), heads_of([0, 2, 1, 3])
    scores = writer.add("Mul", writer.add("MatMul", query, key), scale)
    mixed = writer.add("MatMul", writer.add("Softmax", scores, axis=-1), value)
    joined = writer.add("Reshape", writer.add("Transpose", mixed, perm=[0, 2, 1, 3]), merged)
    return writer.dense(joined, width, width)


def _gelu(writer: GraphWriter, source: str) -> str:
    return writer.add("Gelu", source)


def encoder(tokens: int, width: int, heads: int, layers: int) -> onnx.ModelProto:
    """BERT's encoder layers (norms behind the sums) over embedded tokens (1, tokens, width)."""
    writer = GraphWriter(seed=0)
    last = "x"
    for _ in range(layers):
        attended = writer.add("Add", last, _attention(writer, last, tokens, width, heads))
        normed = writer.layer_norm(attended, width)
        hidden = _gelu(writer, writer.dense(normed, width, 4 * width))
        last = writer.layer_norm(writer.add("Add", normed, writer.dense(hidden, 4 * width, width)), width)
    return writer.model((1, tokens, width), last, (1, tokens, width))


def vision_transformer(width: int, heads: int, layers: int) -> onnx.ModelProto:
    """A ViT (norms before the sums) with 16 × 16 patches of a 224 × 224 image, a class token, and 1,000 classes."""
    writer = GraphWriter(seed=0)
    tokens = 197
    weight = writer.drawn(width, 3, 16, 16, fan_in=2 * 768)
    bias = writer.drawn(width, fan_in=1000)
    patches = writer.add("Conv", "x", weight, bias, strides=[16, 16])
    flat = writer.add("Reshape", patches, writer.constant(np.array([1, width, 196], np.int64)))
    embedded = writer.add(
        "Concat",
        writer.drawn(1, 1, width, fan_in=2),
        writer.add("Transpose", flat, perm=[0, 2, 1]),
        axis=1,
    )
    last = writer.add("Add", embedded, writer.drawn(1, tokens, width, fan_in=20))
    for _ in range(layers):
        attended = _attention(writer, writer.layer_norm(last, width), tokens, width, heads)
        last = writer.add("Add", last, attended)
        hidden = _gelu(writer, writer.dense(writer.layer_norm(last, width), width, 4 * width))
        last = writer.add("Add", last, writer.dense(hidden, 4 * width, width))
    first = writer.add("Gather", writer.layer_norm(last, width), writer.constant(np.array(0)), axis=1)
    return writer.model((1, 3, 224, 224), writer.dense(first, width, 1000), (1, 1000))


#: Kernel, expanded and made channels, squeeze-and-excitation, hard swish, stride: MobileNetV3-large's blocks.
_BLOCKS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def mobilenet_v3() -> onnx.ModelProto:
    """MobileNetV3-large on a 224 × 224 image, with batch norms folded into its convolutions."""
    writer = GraphWriter(seed=0)
    last, taken = writer.add("HardSwish", writer.conv("x", (3, 16), 3, 2)), 16
    for kernel, expanded, made, squeezes, swishes, stride in _BLOCKS:
        activation = "HardSwish" if swishes else "Relu"
        source, before = last, taken
        if expanded != taken:
            last = writer.add(activation, writer.conv(last, (taken, expanded), 1))
        last = writer.add(activation, writer.conv(last, (expanded, expanded), kernel, stride, expanded))
        if squeezes:
            last = _squeeze_and_excite(writer, last, expanded)
        last, taken = writer.conv(last, (expanded, made), 1), made
        if stride == 1 and before == made:
            last = writer.add("Add", last, source)
    last = writer.add("HardSwish", writer.conv(last, (taken, 960), 1))
    flat = writer.add("Flatten", writer.add("GlobalAveragePool", last))
    hidden = writer.add("HardSwish", writer.dense(flat, 960, 1280))
    return writer.model((1, 3, 224, 224), writer.dense(hidden, 1280, 1000), (1, 1000))


def _squeeze_and_excite(writer: GraphWriter, source: str, channels: int) -> str:
    squeezed = max(8, channels // 4 // 8 * 8)
    pooled = writer.add("GlobalAveragePool", source)
    hidden = writer.add("Relu", writer.conv(pooled, (channels, squeezed), 1))
    gate = writer.add("HardSigmoid", writer.conv(hidden, (squeezed, channels), 1), alpha=1 / 6, beta=0.5)
    return writer.add("Mul", source, gate)


def write(model: onnx.ModelProto, path: Path) -> Path:
    """Checks a model and writes it."""
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
