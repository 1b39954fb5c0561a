"""Sums of products in Einstein's notation, as matrix products."""

from __future__ import annotations

import math
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_ELLIPSIS = "..."


@dataclass(frozen=True)
class _Term:
    """A tensor with a letter for each of its axes."""

    tensor: Tensor
    letters: str

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each letter's axis."""
        return dict(zip(self.letters, self.tensor.shape, strict=True))

    def arranged(self, letters: str) -> _Term:
        """The term with its axes in another order."""
        return _Term(self.tensor.transpose(*(self.letters.index(one) for one in letters)), letters)

    def spread(self, letters: str) -> Tensor:
        """A tensor with an axis for each of these letters, of one element where the term has none."""
        own = self.arranged("".join(one for one in letters if one in self.letters))
        return own.tensor.reshape(*(own.sizes.get(one, 1) for one in letters))

    def summed(self, kept: Collection[str]) -> _Term:
        """The sums over all axes but those of these letters."""
        left = "".join(one for one in self.letters if one in kept)
        axes = [place for place, one in enumerate(self.letters) if one not in kept]
        return _Term(self.tensor.sum(axes, keepdims=0), left)


def einsum(node: Node) -> Outputs:
    """Einsum: a batched matrix product for each operand after the first one.

    The node is kept where a letter is repeated within an operand, or an axis of one element stands for a longer one.
    """
    operands = [node[place] for place in range(len(node.inputs))]
    terms, result = _parsed(str(node.attribute("equation")), operands)
    sizes = {pair for term in terms for pair in term.sizes.items()}
    if any(len(term.sizes) < term.tensor.rank for term in terms) or len(sizes) > len(dict(sizes)):
        return None

    def product(left: _Term, place: int) -> _Term:
        needed = set(result).union(*(term.letters for term in terms[place + 1 :]))
        return _product(left, terms[place], needed, result)

    found = reduce(product, range(1, len(terms)), terms[0]).summed(result)
    return [found.arranged(result).tensor]


def _parsed(equation: str, operands: Sequence[Tensor]) -> tuple[list[_Term], str]:
    """The operands with their letters, and the letters of the result; those behind an ellipsis are written out.

    "...ij,...jk"  →  "aij", "ajk" and "aik"
    """
    formula, arrow, result = equation.replace(" ", "").partition("->")
    texts = formula.split(",")
    if not arrow:
        once = sorted(one for one in set(formula) - set(".,") if formula.count(one) == 1)
        result = (_ELLIPSIS if _ELLIPSIS in formula else "") + "".join(once)
    hidden = [one.rank - len(text.replace(_ELLIPSIS, "")) for text, one in zip(texts, operands, strict=True)]
    free = [one for one in string.ascii_letters if one not in formula][: max(hidden)]
    terms = [
        _Term(one, text.replace(_ELLIPSIS, "".join(free[len(free) - count :])))
        for text, one, count in zip(texts, operands, hidden, strict=True)
    ]
    return terms, result.replace(_ELLIPSIS, "".join(free))


def _product(left: _Term, right: _Term, needed: Collection[str], result: str) -> _Term:
    """The product of two terms, summed over the letters that are not needed any more."""
    left, right = left.summed({*needed, *right.letters}), right.summed({*needed, *left.letters})
    shared = [one for one in left.letters if one in right.letters]
    depth = "".join(one for one in shared if one not in needed)
    batch = "".join(sorted((one for one in shared if one in needed), key=result.find))
    if not depth:
        letters = batch + "".join(one for one in left.letters + right.letters if one not in batch)
        return _Term(left.spread(letters) * right.spread(letters), letters)
    if _last(left, shared, result) > _last(right, shared, result):
        left, right = right, left
    rows, columns = ("".join(one for one in term.letters if one not in shared) for term in (left, right))
    sizes = left.sizes | right.sizes
    batches, depths = [sizes[one] for one in batch], math.prod(sizes[one] for one in depth)
    # Without a batch the rows may have several axes.
    row_sizes = [sizes[one] for one in rows] if not batch and rows else [-1]
    factors = (
        left.arranged(batch + rows + depth).tensor.reshape(*batches, *row_sizes, depths),
        right.arranged(batch + depth + columns).tensor.reshape(*batches, depths, -1),
    )
    letters = batch + rows + columns
    return _Term((factors[0] @ factors[1]).reshape(*(sizes[one] for one in letters)), letters)


def _last(term: _Term, shared: Collection[str], result: str) -> int:
    """The last place in the result of a term's own letters; -1 for none of its own."""
    return max((result.find(one) for one in term.letters if one not in shared), default=-1)


REWRITES: dict[str, Rewrite] = {"Einsum": einsum}
