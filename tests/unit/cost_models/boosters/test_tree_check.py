"""Trees of strangers: what XGBoost would crash on, or never end with, is refused before it sees it."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from cost_models.boosters.booster import Booster
from cost_models.boosters.tree_check import checked_trees
from cost_models.boosters.ubjson import read_ubjson, write_ubjson

COLUMNS = 6
ROWS = np.random.default_rng(0).standard_normal((300, COLUMNS)).astype(np.float32)
OBJECTIVES = ("rank:pairwise", "reg:squarederror", "binary:logistic")
NODES = ("left_children", "right_children", "parents", "split_indices")
PARTS = ("base_weights", "default_left", "loss_changes", "split_conditions", "sum_hessian", "tree_param")


@functools.cache
def trained(objective: str) -> bytes:
    labels = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(np.float64)
    matrix = xgboost.DMatrix(ROWS, label=labels, qid=np.repeat(np.arange(3), 100), nthread=1)
    params = {"objective": objective, "max_depth": 4, "nthread": 1, "tree_method": "hist"}
    return bytes(xgboost.train(params, matrix, num_boost_round=5).save_raw("ubj"))


def model_of(objective: str) -> dict[str, Any]:
    return copy.deepcopy(read_ubjson(trained(objective)))  # type: ignore[no-any-return]


def trees_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    return model["learner"]["gradient_booster"]["model"]["trees"]  # type: ignore[no-any-return]


def refused_or_walked(data: bytes) -> None:
    """A booster predicts from the bytes, or they are refused; either way at once."""
    try:
        booster = Booster.from_bytes(data, {"columns": COLUMNS})
    except ValueError:
        return
    assert np.isfinite(booster.predict(ROWS)).all()
    booster.feature_importance()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_checked_trees_predict_and_train_on_as_before(objective: str) -> None:
    whole = xgboost.Booster(model_file=bytearray(trained(objective)))
    checked = xgboost.Booster(model_file=bytearray(checked_trees(trained(objective), COLUMNS)))
    assert checked.inplace_predict(ROWS).tolist() == whole.inplace_predict(ROWS).tolist()
    assert checked.get_score(importance_type="total_gain") == whole.get_score(importance_type="total_gain")
    matrix = xgboost.DMatrix(ROWS, label=ROWS[:, 2], nthread=1)
    params = {"objective": "reg:squarederror", "nthread": 1}
    further = [xgboost.train(params, matrix, 3, xgb_model=each) for each in (whole, checked)]
    assert further[0].inplace_predict(ROWS).tolist() == further[1].inplace_predict(ROWS).tolist()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_read_is_written_again(objective: str) -> None:
    once = write_ubjson(checked := read_ubjson(checked_trees(trained(objective), COLUMNS)))
    assert repr(read_ubjson(once)) == repr(checked)


@examples(150)
@given(
    objective=st.sampled_from(OBJECTIVES),
    name=st.sampled_from(NODES),
    tree=st.integers(0, 4),
    node=st.integers(0, 30),
    value=st.integers(-3, 40) | st.sampled_from([2**31 - 1, -(2**31), 2**30]),
)
def test_a_forged_index_is_refused_or_harmless(
    objective: str, name: str, tree: int, node: int, value: int
) -> None:
    model = model_of(objective)
    nodes = trees_of(model)[tree][name]
    nodes[node % len(nodes)] = value
    refused_or_walked(write_ubjson(model))


@examples(60)
@given(
    objective=st.sampled_from(OBJECTIVES),
    name=st.sampled_from(NODES + PARTS),
    change=st.sampled_from(["shorter", "longer", "gone", "other type", "not finite", "text", "empty"]),
)
def test_a_forged_array_is_refused_or_harmless(objective: str, name: str, change: str) -> None:
    model = model_of(objective)
    tree = trees_of(model)[0]
    whole = tree.pop(name)
    numbers = np.asarray(whole if isinstance(whole, np.ndarray) else [1])
    forged: dict[str, Any] = {
        "shorter": numbers[:-1],
        "longer": np.append(numbers, numbers),
        "other type": numbers.astype(np.float64),
        "not finite": np.full(len(numbers), np.nan, dtype=np.float32),
        "text": "x" * 50,
        "empty": {},
    }
    if change in forged:
        tree[name] = forged[change]
    refused_or_walked(write_ubjson(model))


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (("learner_model_param",), "num_class", "3"),
        (("learner_model_param",), "num_target", "2"),
        (("learner_model_param",), "num_feature", "7"),
        (("learner_model_param",), "base_score", "nan"),
        (("learner_model_param",), "base_score", "[1,2]"),
        (("gradient_booster",), "name", "gblinear"),
        (("objective",), "name", "multi:softprob"),
        (("gradient_booster", "model"), "tree_info", [0, 0, 1, 0, 0]),
        (("gradient_booster", "model"), "trees", {}),
    ],
)
def test_models_of_another_kind_are_refused(place: tuple[str, ...], name: str, value: Any) -> None:
    model = model_of("reg:squarederror")
    inner = functools.reduce(lambda found, key: found[key], place, model["learner"])
    inner[name] = value
    with pytest.raises(ValueError, match=r"\S"):
        checked_trees(write_ubjson(model), COLUMNS)


def test_a_chain_of_nodes_is_refused_without_recursion() -> None:
    model, count = model_of("reg:squarederror"), 100_001
    inner = np.arange(0, count - 1, 2)
    left, right, parents = (np.full(count, -1, dtype=np.int32) for _ in range(3))
    left[inner], right[inner] = inner + 1, inner + 2
    parents[inner + 1] = parents[inner + 2] = inner
    zeros = np.zeros(count, dtype=np.float32)
    tree = trees_of(model)[0]
    tree |= {"left_children": left, "right_children": right, "parents": parents}
    tree |= dict.fromkeys(("base_weights", "loss_changes", "split_conditions", "sum_hessian"), zeros)
    tree |= {"split_indices": zeros.astype(np.int32), "default_left": zeros.astype(np.uint8)}
    with pytest.raises(ValueError, match="deeper"):
        checked_trees(write_ubjson(model), COLUMNS)


@examples(150)
@given(start=st.integers(0, 10**6), removed=st.integers(0, 30), inserted=st.binary(max_size=30))
def test_edited_bytes_are_refused_or_harmless(start: int, removed: int, inserted: bytes) -> None:
    data = trained("reg:squarederror")
    start %= len(data)
    refused_or_walked(data[:start] + inserted + data[start + removed :])


@examples(100)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        checked_trees(data, COLUMNS)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b"{L\0\0\0\0\0\0\0\0" * 10_000,
        b"[#L\0\0\0\0\x7f\0\0\0",
        b"[#L" + b"\xff" * 8,
        b"[$d#L" + b"\x7f" * 8,
        b"[#L" + (1 << 22).to_bytes(8, "big") + b"Z" * (1 << 22),
    ],
    ids=["arrays", "objects", "long", "negative", "huge", "many"],
)
def test_nesting_and_lengths_are_bounded(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_ubjson(data)
