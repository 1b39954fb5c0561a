"""Sums of products in Einstein's notation against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_comparison import compare, run, single_node

from autotune.models.onnx_passes.canonical_operators import with_canonical_operators

_RANDOM = np.random.default_rng(0)


def _operators(equation: str, *shapes: tuple[int, ...]) -> list[str]:
    """The operators of the rewritten node, whose result is held against NumPy's."""
    arrays = [_RANDOM.normal(size=shape).astype(np.float32) for shape in shapes]
    expected = np.asarray(np.einsum(equation, *arrays, dtype=np.float64), np.float32)
    rewritten = with_canonical_operators(single_node("Einsum", arrays, opset=12, equation=equation))
    compare(run(rewritten, arrays), [expected], 1e-5)
    return [node.op_type for node in rewritten.graph.node]


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("b i d , b j d -> b i j", (2, 3, 4), (2, 5, 4)),
        ("bildsk,biokl->bolsd", (1, 3, 6, 2, 5, 3), (1, 3, 4, 3, 6)),
        ("bhwc,wkc->bhwk", (2, 3, 4, 5), (4, 6, 5)),
        ("bind,bjnd->bnij", (2, 3, 4, 5), (2, 6, 4, 5)),
        ("ibh,hnd->ibnd", (3, 2, 6), (6, 4, 5)),
        ("ibnd,hnd->ibh", (3, 2, 4, 5), (6, 4, 5)),
        ("jk,ij->ik", (4, 5), (3, 4)),
        ("...ij,...jk", (2, 3, 4), (2, 4, 5)),
        ("...ij,jk->...ik", (2, 2, 3, 4), (4, 5)),
        ("ik,jk", (3, 4), (5, 4)),
        ("i,i->", (3,), (3,)),
        ("i,ij->j", (3,), (3, 4)),
        ("b...d,b...d->b...", (2, 3, 4), (2, 3, 4)),
        ("bijx,bj->bi", (2, 3, 4, 5), (2, 4)),
    ],
)
def test_contractions_are_one_matrix_product(equation, left, right):
    operators = _operators(equation, left, right)
    assert operators.count("MatMul") == 1
    assert "Einsum" not in operators


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("i,j->ij", (3,), (4,)),
        ("bij,b->bi", (2, 3, 4), (2,)),
        ("ij,ji->ji", (3, 4), (4, 3)),
        ("ij,kl->l", (2, 3), (4, 5)),
    ],
)
def test_products_without_a_sum_over_both_operands_are_elementwise(equation, left, right):
    operators = _operators(equation, left, right)
    assert operators.count("Mul") == 1
    assert "MatMul" not in operators


def test_three_operands_are_two_products():
    assert _operators("bi,ijk,bk->bj", (2, 3), (3, 4, 5), (2, 5)).count("MatMul") == 2


@pytest.mark.parametrize("equation", ["ij->ji", "ij->", "ij->j"])
def test_one_operand_is_transposed_and_summed(equation):
    assert "Einsum" not in _operators(equation, (3, 4))


def test_diagonals_stay():
    assert _operators("ii,ij->ij", (3, 3), (3, 4)) == ["Einsum"]
