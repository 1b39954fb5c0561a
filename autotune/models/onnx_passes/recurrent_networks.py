"""RNN, GRU and LSTM as one product for the inputs of all steps, and unrolled steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.activations import softplus_of
from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULT_ACTIVATIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_STEPS_AT_MOST = 2048

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Activations:
    """The activation functions of one direction, and the bound of what they are given."""

    functions: list[Activation]
    clip: float | None

    def __call__(self, place: int, x: Tensor) -> Tensor:
        """A function of a value that is within the bounds."""
        return self.functions[place](x if self.clip is None else x.clip(-self.clip, self.clip))


@dataclass(frozen=True)
class _Cell:
    """The weights of one direction. recurrent: [H, gates H]; bias: that of the recurrent product, where it is
    apart from the inputs'; peepholes: [3 H]."""

    operator: str
    recurrent: Tensor
    bias: Tensor | None
    peepholes: Tensor | None
    activations: _Activations
    is_linear_before_reset: bool
    is_coupled: bool

    @property
    def hidden(self) -> int:
        return self.recurrent.shape[0]

    def step(self, x: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The next state from the products of the inputs, [batch, gates H]."""
        if self.operator == "LSTM":
            assert c is not None
            return self._long_short_term(x + h @ self.recurrent, c)
        if self.operator == "GRU":
            return self._gated(x, h), None
        return self.activations(0, x + h @ self.recurrent), None

    def _gate(self, x: Tensor, place: int, count: int = 1) -> Tensor:
        return x.slice(x.rank - 1, place * self.hidden, (place + count) * self.hidden)

    def _long_short_term(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, o, f, g = (self._gate(gates, place) for place in range(4))
        if self.peepholes is not None:
            i = i + self._gate(self.peepholes, 0) * c
            f = f + self._gate(self.peepholes, 2) * c
        i = self.activations(0, i)
        f = 1 - i if self.is_coupled else self.activations(0, f)
        new = f * c + i * self.activations(1, g)
        if self.peepholes is not None:
            o = o + self._gate(self.peepholes, 1) * new
        return self.activations(0, o) * self.activations.functions[2](new), new

    def _gated(self, x: Tensor, h: Tensor) -> Tensor:
        if self.is_linear_before_reset:
            product = h @ self.recurrent
            update_reset = self._gate(x, 0, 2) + self._gate(product, 0, 2)
            candidate = self._gate(product, 2)
            candidate = candidate if self.bias is None else candidate + self.bias
        else:
            update_reset = self._gate(x, 0, 2) + h @ self._gate(self.recurrent, 0, 2)
        both = self.activations(0, update_reset)
        update, reset = self._gate(both, 0), self._gate(both, 1)
        candidate = (
            reset * candidate if self.is_linear_before_reset else (reset * h) @ self._gate(self.recurrent, 2)
        )
        new = self.activations(1, self._gate(x, 2) + candidate)
        return (1 - update) * new + update * h


def recurrent(node: Node) -> Outputs:
    """RNN, GRU and LSTM in all forms, with Y, Y_h and Y_c."""
    x, is_batch_first = node[0], bool(node.attribute("layout", 0))
    if is_batch_first:
        x = x.transpose(1, 0, 2)
    steps, batch, _ = x.shape
    if steps > _STEPS_AT_MOST:
        raise node.refusal(f"has {steps} steps", f"Export it for sequences of up to {_STEPS_AT_MOST}")
    direction = node.attribute("direction", "forward")
    reverses = [direction == "reverse"] if direction != "bidirectional" else [False, True]
    states = [_initial(node, place, is_batch_first) for place in (5, 6)]
    results = []
    for place, is_reverse in enumerate(reverses):
        inputs, cell = _direction(node, x, place)
        h, c = (_state(node, state, place, batch) for state in states)
        results.append(
            _unrolled(cell, inputs, (h, c if node.operator == "LSTM" else None), (is_reverse, node.get(4)))
        )
    y = _joined([each[0].reshape(steps, 1, batch, -1) for each in results], 1)
    ends = [
        _joined([each[which].reshape(1, batch, -1) for each in results], 0)  # type: ignore[union-attr]
        for which in (1, 2)
        if results[0][which] is not None
    ]
    if is_batch_first:
        y, ends = y.transpose(2, 0, 1, 3), [end.transpose(1, 0, 2) for end in ends]
    return [y, *ends][: len(node.proto.output)]


def _initial(node: Node, place: int, is_batch_first: bool) -> Tensor | None:
    state = node.get(place)
    return state if state is None or not is_batch_first else state.transpose(1, 0, 2)


def _state(node: Node, state: Tensor | None, place: int, batch: int) -> Tensor:
    if state is None:
        return node.graph.constant(np.zeros((batch, node[2].shape[2])), node[0].dtype)
    return state.index(0, place)


def _direction(node: Node, x: Tensor, place: int) -> tuple[Tensor, _Cell]:
    """The products of all inputs, [steps batch, gates H], and the cell, of one direction."""
    steps, batch, features = x.shape
    hidden, operator = node[2].shape[2], node.operator
    width = _GATES[operator] * hidden
    weight = node[1].index(0, place).transpose(1, 0)
    products = x.reshape(steps * batch, features) @ weight
    is_linear_before_reset = operator == "GRU" and bool(node.attribute("linear_before_reset", 0))
    apart: Tensor | None = None
    if node.has(3):
        both = node[3].index(0, place)
        own, recurrent_bias = both.slice(0, 0, width), both.slice(0, width, None)
        if is_linear_before_reset:
            apart = recurrent_bias.slice(0, 2 * hidden, None)
            recurrent_bias = recurrent_bias.slice(0, 0, 2 * hidden).pad([(0, hidden)])
        products = products + (own + recurrent_bias)
    peepholes = node.get(7) if operator == "LSTM" else None
    cell = _Cell(
        operator,
        node[2].index(0, place).transpose(1, 0),
        apart,
        None if peepholes is None else peepholes.index(0, place),
        _Activations(_functions(node, place), node.attribute("clip")),
        is_linear_before_reset,
        bool(node.attribute("input_forget", 0)),
    )
    return products, cell


def _unrolled(
    cell: _Cell,
    inputs: Tensor,
    state: tuple[Tensor, Tensor | None],
    order: tuple[bool, Tensor | None],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The outputs of all steps, and the last state. order: whether time runs backwards, the sequences' lengths."""
    h, c = state
    is_reverse, lengths = order
    graph, batch = inputs.graph, h.shape[0]
    steps = inputs.shape[0] // batch
    # One kernel cuts out the rows of all steps: a slice for each would be as many tasks.
    sizes = graph.integers([batch] * steps)
    rows = [inputs] if steps == 1 else graph.add_many("Split", [inputs, sizes], steps, axis=0)
    outputs: list[Tensor] = [h] * steps
    for step in reversed(range(steps)) if is_reverse else range(steps):
        new_h, new_c = cell.step(rows[step], h, c)
        outputs[step] = new_h
        if lengths is not None:
            is_within = lengths.reshape(-1, 1) > step
            outputs[step] = graph.add("Where", is_within, new_h, new_h.operand(0))
            new_h = graph.add("Where", is_within, new_h, h)
            if c is not None and new_c is not None:
                new_c = graph.add("Where", is_within, new_c, c)
        h, c = new_h, new_c
    return _joined(outputs, 0), h, c


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else parts[0].graph.add("Concat", *parts, axis=axis)


def _functions(node: Node, place: int) -> list[Activation]:
    """The activation functions of a direction; alphas and betas belong, in order, to those that have such."""
    default = _DEFAULT_ACTIVATIONS[node.operator]
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


REWRITES: dict[str, Rewrite] = dict.fromkeys(("RNN", "GRU", "LSTM"), recurrent)
