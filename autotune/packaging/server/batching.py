"""Batches: requests that one run answers together, joined along the first dimension of every input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from .signature import Array, Model, Signature

#: The inputs or the outputs of one request, in the model's order.
Arrays = tuple[Array, ...]
# Of an element, or of the root mean square where that is larger: other batch sizes are computed by other machine code.
_TOLERANCE = 1e-2
_SEED = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """Rule by which requests are joined; most: the rows of a run at most, 1 where each request has its own run."""

    most: int = 1

    def takes(self, batch: Sequence[Arrays], inputs: Arrays) -> bool:
        """Whether a request may join a batch: of the same sizes beyond the first dimension, and room for its rows."""
        rows = sum(_rows(one) for one in batch) + _rows(inputs)
        return rows <= self.most and _shapes(batch[0]) == _shapes(inputs) and _has_rows(inputs)


def joined(batch: Sequence[Arrays]) -> Arrays:
    """The inputs of a run for a batch."""
    return batch[0] if len(batch) == 1 else tuple(map(np.concatenate, zip(*batch, strict=True)))


def parted(outputs: Arrays, batch: Sequence[Arrays]) -> list[Arrays]:
    """The outputs of each request of a batch, from those of the run."""
    if len(batch) == 1:
        return [outputs]
    ends = list(accumulate(_rows(one) for one in batch))[:-1]
    return list(zip(*(np.split(one, ends) for one in outputs), strict=True))


def checked_batching(most: int, sizes: range, model: Model, signature: Signature) -> Batching:
    """The rule for two rows or more, where the model computes in a batch what it computes for single requests.

    sizes: that the first dimension of all inputs may have. Raises ValueError for any other model.
    """
    if sizes[:most] != range(1, most + 1):
        raise ValueError(
            f"expected a model whose inputs take 1 to {most} rows for --batch {most}; found "
            f"{'a fixed first dimension' if not sizes else f'{sizes[0]} to {sizes[-1]}'}. Package it with "
            f"--dim BATCH=1..{most}, where BATCH is the name of the dimension"
        )
    rng = np.random.default_rng(_SEED)
    rows = [_drawn(signature, rng) for _ in range(2)]
    alone = [_outputs(model, one) for one in rows]
    together = _outputs(model, joined(rows))
    if not all(one.ndim and len(one) == len(rows) for one in together) or not all(
        map(_is_close, joined(alone), together)
    ):
        raise ValueError(
            "expected a model that computes each row of a batch by itself, for --batch; found other outputs for two "
            "requests together than for each alone. Leave --batch out"
        )
    return Batching(most)


def _drawn(signature: Signature, rng: np.random.Generator) -> Arrays:
    """Inputs of one row: standard normal values, and of other kinds 0 and 1."""
    shapes = [(1, *one.largest[1:]) for one in signature.inputs]
    return tuple(
        (rng.standard_normal(shape) if one.dtype.kind == "f" else rng.integers(0, 2, shape)).astype(one.dtype)
        for one, shape in zip(signature.inputs, shapes, strict=True)
    )


def _outputs(model: Model, inputs: Arrays) -> Arrays:
    found = model.run(*inputs)
    return found if isinstance(found, tuple) else (found,)


def _is_close(right: Array, found: Array) -> bool:
    if right.shape != found.shape:
        return False
    if right.dtype.kind not in "fV":
        return np.array_equal(right, found)
    mine, wanted = found.astype(np.float64), right.astype(np.float64)
    finite = wanted[np.isfinite(wanted)]
    scale = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
    return np.allclose(mine, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)


def _rows(inputs: Arrays) -> int:
    return len(inputs[0]) if inputs and inputs[0].ndim else 1


def _has_rows(inputs: Arrays) -> bool:
    return all(one.ndim and len(one) == _rows(inputs) for one in inputs)


def _shapes(inputs: Arrays) -> list[tuple[int, ...]]:
    return [one.shape[1:] for one in inputs]
