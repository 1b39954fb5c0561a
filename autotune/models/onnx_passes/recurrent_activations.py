"""The activation functions of RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autotune.models.onnx_passes.activations import softplus_of
from autotune.models.onnx_passes.node import Node
from autotune.models.onnx_passes.tensor import Tensor

Activation = Callable[[Tensor], Tensor]

_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def activation_functions(node: Node, cell: str, place: int) -> list[Activation]:
    """The activation functions of a direction; alphas and betas belong, in order, to those that have such."""
    default = _DEFAULTS[cell]
    names = node.attribute("activations") or default * (
        2 if node.attribute("direction") == "bidirectional" else 1
    )
    alphas, betas = (
        iter(node.attribute("activation_alpha") or []),
        iter(node.attribute("activation_beta") or []),
    )
    found = [_function(node, name.lower(), alphas, betas) for name in names]
    return found[place * len(default) : (place + 1) * len(default)]


# The defaults of alpha and beta.
_PARAMETERS: dict[str, tuple[float | None, float | None]] = {
    "affine": (1.0, 0.0),
    "leakyrelu": (0.01, None),
    "thresholdedrelu": (1.0, None),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, None),
}


def _function(node: Node, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    default_alpha, default_beta = _PARAMETERS.get(name, (None, None))
    alpha = next(alphas, default_alpha) if default_alpha is not None else 0.0
    beta = next(betas, default_beta) if default_beta is not None else 0.0
    assert alpha is not None
    assert beta is not None
    functions: dict[str, Activation] = {
        "relu": lambda x: x.unary("Relu"),
        "tanh": lambda x: x.unary("Tanh"),
        "sigmoid": lambda x: x.unary("Sigmoid"),
        "softsign": lambda x: x.unary("Softsign"),
        "softplus": softplus_of,
        "affine": lambda x: x * alpha + beta,
        "leakyrelu": lambda x: x.graph.add("Where", x < 0, x * alpha, x),
        "thresholdedrelu": lambda x: x.graph.add("Where", x > alpha, x, x.operand(0)),
        "scaledtanh": lambda x: (x * beta).unary("Tanh") * alpha,
        "hardsigmoid": lambda x: (x * alpha + beta).clip(0, 1),
        "elu": lambda x: x.graph.add("Where", x > 0, x, (x.unary("Exp") - 1) * alpha),
    }
    if name not in functions:
        raise node.refusal(f"has the activation {name!r}", f"Export it with one of {', '.join(functions)}")
    return functions[name]
