"""Random weights for the architectures inside the onnx package, so that running them means something.

The files under onnx/backend/test/data/light describe nine well-known networks, but all their weights are one
constant: a wrong layout or a swapped channel would go unseen, and outputs are equal whatever the input.

    python examples/seeded_weights.py squeezenet out/squeezenet.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.backend.test
import onnxruntime
from onnx import numpy_helper

_LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
_PREFIX = "light_"

Weights = npt.NDArray[np.float32]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Weights]


def names() -> list[str]:
    """The architectures: alexnet, densenet121, resnet50, squeezenet, …"""
    return sorted(path.stem.removeprefix(_PREFIX).removeprefix("bvlc_") for path in _LIGHT.glob("*.onnx"))


def light_model(name: str) -> Path:
    """The file of an architecture. Raises ValueError for a name that is not among `names()`."""
    found = [
        path for path in _LIGHT.glob("*.onnx") if path.stem.split("_", 1)[1].removeprefix("bvlc_") == name
    ]
    if not found:
        raise ValueError(f"expected one of {', '.join(names())}; found {name!r}")
    return found[0]


def with_seeded_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """A copy of the network with weights drawn by their role.

    Kernels are He-normal, so that activations keep their size from layer to layer; biases are small; scales
    and variances of batch norms are around one. The last kernel is scaled for outputs around one: a softmax
    of large numbers is 0 or 1 whatever the input.
    """
    rng = np.random.default_rng(seed)
    seeded = onnx.ModelProto.FromString(model.SerializeToString())
    # The first version in which weights need not be listed among the inputs.
    seeded.ir_version = max(seeded.ir_version, 4)
    graph = seeded.graph
    shapes = _constant_shapes(graph)
    drawn: dict[str, Weights] = {}
    # Some weights reach their operator through an Unsqueeze or a Reshape.
    through: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in ("Unsqueeze", "Reshape") and node.input[0] in shapes:
            through[node.output[0]] = node.input[0]
    for node in graph.node:
        for slot, name in enumerate(node.input):
            weight = through.get(name, name)
            draw = _DRAWS.get((node.op_type, slot))
            if draw and weight in shapes and weight not in drawn:
                drawn[weight] = draw(rng, shapes[weight])
    kept = [node for node in graph.node if node.output[0] not in drawn]
    del graph.node[:]
    graph.node.extend(kept)
    _store(graph, drawn)
    last = [node for node in graph.node if node.op_type in ("Conv", "Gemm")][-1]
    spread = np.float32(np.std(_run(seeded, last.output[0], rng)))
    _store(
        graph, {name: drawn[name] / spread for name in (through.get(each, each) for each in last.input[1:])}
    )
    return seeded


def _store(graph: onnx.GraphProto, weights: dict[str, Weights]) -> None:
    """Puts the weights in the place of those of the same name, and leaves out what nothing reads."""
    read = {name for node in graph.node for name in node.input}
    others = [tensor for tensor in graph.initializer if tensor.name in read and tensor.name not in weights]
    names = {tensor.name for tensor in others} | {*weights}
    fed = [value for value in graph.input if value.name in read and value.name not in names]
    del graph.initializer[:]
    graph.initializer.extend(
        [*others, *(numpy_helper.from_array(value, name) for name, value in weights.items())]
    )
    del graph.input[:]
    graph.input.extend(fed)


def _run(model: onnx.ModelProto, output: str, rng: np.random.Generator) -> Weights:
    """The value of an output or of anything in between, for a random input."""
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    del probe.graph.output[:]
    probe.graph.output.add().name = output
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = session.get_inputs()[0]
    result: Weights = session.run([output], {fed.name: rng.standard_normal(fed.shape, np.float32)})[0]
    return result


def _constant_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """The float weights of a light model: outputs of ConstantOfShape, and small ones stored as they are."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {
        tensor.name: tuple(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            sizes = numpy_helper.to_array(stored[node.input[0]])
            shapes[node.output[0]] = tuple(int(size) for size in sizes)
    return shapes


def _kernel(rng: np.random.Generator, shape: tuple[int, ...]) -> Weights:
    fan_in = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2.0 / fan_in))).astype(np.float32)


def _shift(rng: np.random.Generator, shape: tuple[int, ...]) -> Weights:
    return rng.normal(0.0, 0.05, shape).astype(np.float32)


def _scale(rng: np.random.Generator, shape: tuple[int, ...]) -> Weights:
    return rng.uniform(0.5, 1.5, shape).astype(np.float32)


_DRAWS: dict[tuple[str, int], Draw] = {
    ("Conv", 1): _kernel,
    ("Conv", 2): _shift,
    ("Gemm", 1): _kernel,
    ("Gemm", 2): _shift,
    ("BatchNormalization", 1): _scale,
    ("BatchNormalization", 2): _shift,
    ("BatchNormalization", 3): _shift,
    ("BatchNormalization", 4): _scale,
    ("Mul", 1): _scale,
    ("Add", 1): _shift,
}


def main() -> None:
    """Writes one architecture with seeded weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=names())
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(with_seeded_weights(onnx.load(light_model(options.name)), options.seed), options.output)
    print(f"{options.output}: {options.name}, seed {options.seed}")


if __name__ == "__main__":
    main()
