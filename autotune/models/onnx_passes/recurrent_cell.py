"""A step of an RNN, a GRU or an LSTM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autotune.models.onnx_passes.recurrent_activations import Activation
from autotune.models.onnx_passes.tensor import Tensor


@dataclass(frozen=True)
class Activations:
    """The activation functions of one direction, and the bound of what they are given."""

    functions: list[Activation]
    clip: float | None

    def __call__(self, place: int, x: Tensor) -> Tensor:
        """A function of a value that is within the bounds."""
        return self.functions[place](x if self.clip is None else x.clip(-self.clip, self.clip))


@dataclass(frozen=True)
class Cell:
    """The weights of one direction, or of two that take their steps together, which have an axis of their own.

    product: of states and recurrent weights; recurrent: [H, gates H]; bias: that of the recurrent product, where it
    is apart from the inputs'; peepholes: [3 H]; lengths: of the sequences, where they differ.
    """

    operator: str
    product: Callable[[Tensor, Tensor], Tensor]
    recurrent: Tensor
    bias: Tensor | None
    peepholes: Tensor | None
    activations: Activations
    is_linear_before_reset: bool
    is_coupled: bool
    lengths: Tensor | None

    @property
    def hidden(self) -> int:
        """The number of values of a state."""
        return self.recurrent.shape[-2]

    def step(self, x: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The next state from the products of the inputs, [batch, gates H]."""
        if self.operator == "LSTM":
            assert c is not None
            return self._long_short_term(x + self.product(h, self.recurrent), c)
        if self.operator == "GRU":
            return self._gated(x, h), None
        return self.activations(0, x + self.product(h, self.recurrent)), None

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
            product = self.product(h, self.recurrent)
            update_reset = self._gate(x, 0, 2) + self._gate(product, 0, 2)
            candidate = self._gate(product, 2)
            candidate = candidate if self.bias is None else candidate + self.bias
        else:
            update_reset = self._gate(x, 0, 2) + self.product(h, self._gate(self.recurrent, 0, 2))
        both = self.activations(0, update_reset)
        update, reset = self._gate(both, 0), self._gate(both, 1)
        if self.is_linear_before_reset:
            candidate = reset * candidate
        else:
            candidate = self.product(reset * h, self._gate(self.recurrent, 2))
        new = self.activations(1, self._gate(x, 2) + candidate)
        return (1 - update) * new + update * h
