"""RNN, GRU and LSTM as one product for the inputs of all steps, and unrolled steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.quantization import dynamic_product
from autotune.models.onnx_passes.recurrent_activations import activation_functions
from autotune.models.onnx_passes.recurrent_cell import Activations, Cell
from autotune.models.onnx_passes.tensor import Tensor

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_STEPS_AT_MOST = 2048
# ONNX Runtime's, whose weights are quantized, with the places of scales and zero points by that of the weights.
_QUANTIZED = "DynamicQuantize"
_QUANTIZATION = {1: (8, 9), 2: (10, 11)}


def recurrent(node: Node) -> Outputs:
    """RNN, GRU and LSTM in all forms, with Y, Y_h and Y_c.

    Two directions take their steps together, in products of two matrices each, if their activations are alike.
    """
    x, is_batch_first = node[0], bool(node.attribute("layout", 0))
    if is_batch_first:
        x = x.transpose(1, 0, 2)
    steps, batch, _ = x.shape
    if steps > _STEPS_AT_MOST:
        raise node.refusal(f"has {steps} steps", f"Export it for sequences of up to {_STEPS_AT_MOST}")
    results = []
    for directions in _groups(node):
        states = [_initial(node, place, is_batch_first, directions) for place in (5, 6)]
        bias, apart = _biases(node, directions)
        inputs = _products(node, x, bias, directions)
        results.append(_unrolled(_cell(node, apart, directions), inputs, states, directions))
    y = _joined([each[0] for each in results], 1)
    ends = [
        _joined([each[which].reshape(each[0].shape[1], batch, -1) for each in results], 0)  # type: ignore[union-attr]
        for which in (1, 2)
        if results[0][which] is not None
    ]
    if is_batch_first:
        y, ends = y.transpose(2, 0, 1, 3), [end.transpose(1, 0, 2) for end in ends]
    return [y, *ends][: len(node.proto.output)]


@dataclass(frozen=True)
class _Direction:
    """One direction of a node: its place among the weights, and whether its time runs backwards."""

    place: int
    is_reverse: bool

    def times(self, steps: int) -> Sequence[int]:
        """The steps of the sequence in the order in which they are taken."""
        return range(steps)[:: -1 if self.is_reverse else 1]


_Directions = tuple[_Direction, ...]


def _groups(node: Node) -> list[_Directions]:
    """The directions, those in one group that take their steps together."""
    direction = node.attribute("direction", "forward")
    if direction != "bidirectional":
        return [(_Direction(0, direction == "reverse"),)]
    both = (_Direction(0, False), _Direction(1, True))
    names = [name.lower() for name in node.attribute("activations") or []]
    has_parameters = node.attribute("activation_alpha") or node.attribute("activation_beta")
    is_alike = names[: len(names) // 2] == names[len(names) // 2 :] and not has_parameters
    # States are quantized by their own range, each direction's by its own.
    return [both] if is_alike and not _is_quantized(node) else [(one,) for one in both]


def _is_quantized(node: Node) -> bool:
    return node.operator.startswith(_QUANTIZED)


def _cell_kind(node: Node) -> str:
    """RNN, GRU or LSTM."""
    return node.operator.removeprefix(_QUANTIZED)


def _hidden(node: Node) -> int:
    return node[2].shape[1 if _is_quantized(node) else 2]


def _matrix(node: Node, place: int, directions: _Directions) -> Tensor:
    """The weights of a product, [K, gates H], or [2, K, gates H]; those of quantized networks are stored so."""
    weights = _of(node[place], directions)
    return weights if _is_quantized(node) else _swapped(weights)


def _product(node: Node, place: int, directions: _Directions) -> Callable[[Tensor, Tensor], Tensor]:
    """The product by the weights at this place."""
    if not _is_quantized(node):
        return lambda x, matrix: x @ matrix
    scale, zero = (node[each].index(0, directions[0].place) for each in _QUANTIZATION[place])
    return lambda x, matrix: dynamic_product(x, matrix, scale, zero)


def _of(tensor: Tensor, directions: _Directions, *inner: int) -> Tensor:
    """A tensor's part for one direction, without that axis; all of it for two, with the inner axes in this shape."""
    if len(directions) == 1:
        return tensor.index(0, directions[0].place)
    return tensor.reshape(len(directions), *inner) if inner else tensor


def _swapped(matrices: Tensor) -> Tensor:
    """The transposed matrix, or each of several."""
    *outer, rows, columns = range(matrices.rank)
    return matrices.transpose(*outer, columns, rows)


def _initial(node: Node, place: int, is_batch_first: bool, directions: _Directions) -> Tensor:
    state = node.get(place)
    if state is None:
        batch = node[0].shape[0 if is_batch_first else 1]
        shape = (batch, _hidden(node)) if len(directions) == 1 else (2, batch, _hidden(node))
        return node.graph.constant(np.zeros(shape), node[0].dtype)
    return _of(state.transpose(1, 0, 2) if is_batch_first else state, directions)


def _products(node: Node, x: Tensor, bias: Tensor | None, directions: _Directions) -> list[Tensor]:
    """The products of the inputs, with their bias, of each step in the order in which these are taken.

    [batch, gates H], of two directions [2, batch, gates H].
    """
    steps, batch, features = x.shape
    width = _GATES[_cell_kind(node)] * _hidden(node)
    if len(directions) == 1:
        inputs = x.reshape(steps * batch, features)
    else:
        inputs = _joined([x, x.slice(0, None, None, -1)], 0).reshape(2, steps * batch, features)
    products = _product(node, 1, directions)(inputs, _matrix(node, 1, directions))
    if bias is not None:
        products = products + bias
    rows = batch
    if len(directions) == 2:
        products = products.reshape(2, steps, batch, width).transpose(1, 0, 2, 3).reshape(-1, batch, width)
        rows = 2
    if steps == 1:
        return [products]
    # One kernel cuts out the rows of all steps: a slice for each would be as many tasks.
    found = node.graph.add_many("Split", [products, node.graph.integers([rows] * steps)], steps, axis=0)
    return found[::-1] if len(directions) == 1 and directions[0].is_reverse else found


def _biases(node: Node, directions: _Directions) -> tuple[Tensor | None, Tensor | None]:
    """The bias of the inputs' products, and that of the recurrent one where it must be added apart."""
    if not node.has(3):
        return None, None
    hidden = _hidden(node)
    width = _GATES[_cell_kind(node)] * hidden
    both = _of(node[3], directions, 1, 2 * width)
    own, added = both.slice(both.rank - 1, 0, width), both.slice(both.rank - 1, width, None)
    if not _is_linear_before_reset(node):
        return own + added, None
    outer = [(0, 0)] * (both.rank - 1)
    gates, candidate = (added.slice(both.rank - 1, *each) for each in ((0, 2 * hidden), (2 * hidden, None)))
    return own + gates.pad([*outer, (0, hidden)]), candidate


def _is_linear_before_reset(node: Node) -> bool:
    return node.operator == "GRU" and bool(node.attribute("linear_before_reset", 0))


def _cell(node: Node, bias: Tensor | None, directions: _Directions) -> Cell:
    operator = _cell_kind(node)
    peepholes = node.get(7) if operator == "LSTM" else None
    return Cell(
        operator,
        _product(node, 2, directions),
        _matrix(node, 2, directions),
        bias,
        None if peepholes is None else _of(peepholes, directions, 1, peepholes.shape[1]),
        Activations(activation_functions(node, operator, directions[0].place), node.attribute("clip")),
        _is_linear_before_reset(node),
        bool(node.attribute("input_forget", 0)),
        node.get(4),
    )


def _unrolled(
    cell: Cell, inputs: list[Tensor], states: list[Tensor], directions: _Directions
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The outputs of all steps, [steps, directions, batch, H], and the last state."""
    h, c = states[0], states[1] if cell.operator == "LSTM" else None
    graph, steps, batch = h.graph, len(inputs), h.shape[-2]
    times = list(zip(*(one.times(steps) for one in directions), strict=True))
    outputs = []
    for x, at in zip(inputs, times, strict=True):
        new_h, new_c = cell.step(x, h, c)
        output = new_h
        if cell.lengths is not None:
            is_within = _is_within(cell.lengths, at)
            output = graph.add("Where", is_within, new_h, new_h.operand(0))
            new_h = graph.add("Where", is_within, new_h, h)
            if c is not None and new_c is not None:
                new_c = graph.add("Where", is_within, new_c, c)
        outputs.append(output)
        h, c = new_h, new_c
    ordered = outputs if len(directions) == 2 else [outputs[step] for step in directions[0].times(steps)]
    y = _joined(ordered, 0).reshape(steps, len(directions), batch, -1)
    if len(directions) == 2:
        y = _joined([y.slice(1, 0, 1), y.slice(1, 1, 2).slice(0, None, None, -1)], 1)
    return y, h, c


def _is_within(lengths: Tensor, at: tuple[int, ...]) -> Tensor:
    """A mask of the sequences that are longer than the step that each direction takes."""
    if len(at) == 1:
        return lengths.reshape(-1, 1) > at[0]
    return lengths.reshape(1, -1, 1) > np.array(at).reshape(-1, 1, 1)


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else parts[0].graph.add("Concat", *parts, axis=axis)


REWRITES: dict[str, Rewrite] = dict.fromkeys(
    ("RNN", "GRU", "LSTM", "com.microsoft.DynamicQuantizeLSTM"), recurrent
)
