"""Models in XGBoost's binary format, checked before XGBoost sees them: it follows every index without looking.

XGBoost's reader trusts lengths, and its predictor the indices of children, parents and features: a forged file crashes
the process, or makes it walk in a circle. Only what was checked here is written anew and handed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.ubjson import read_ubjson, write_ubjson

#: Ours have 8 levels or fewer.
_DEEPEST: Final = 128
_LEAF: Final = -1
#: In place of the root's parent.
_NO_PARENT: Final = 0x7FFFFFFF
_CHILDREN: Final = ("left_children", "right_children")
_NODES: Final[dict[str, type[np.generic]]] = {
    "left_children": np.int32,
    "right_children": np.int32,
    "parents": np.int32,
    "split_indices": np.int32,
    "default_left": np.uint8,
    "split_conditions": np.float32,
    "base_weights": np.float32,
    "loss_changes": np.float32,
    "sum_hessian": np.float32,
}
#: Objectives with the name of their parameters, None for those without.
_OBJECTIVES: Final = {
    "reg:absoluteerror": None,
    "rank:pairwise": "lambdarank_param",
    "reg:squarederror": "reg_loss_param",
    "binary:logistic": "reg_loss_param",
}
_PARAMETER: Final = re.compile(r"[\w.:+-]{0,64}")
_NUMBER: Final = re.compile(r"\[?([-+]?[0-9.]{1,20}([eE][-+]?[0-9]{1,3})?)\]?")


def checked_trees(data: bytes, columns: int) -> bytes:
    """Checks trees for that many features, and writes them anew in bytes that XGBoost can load and walk.

    Raises ValueError where the trees are not such as this package trains: one output, numeric features, no
    categories; every node but the root the child of one other.
    """
    read = read_ubjson(data)
    learner = _mapping(read, "learner")
    booster = _mapping(learner, "gradient_booster")
    if booster.get("name") != "gbtree":
        raise ValueError("trees of another kind than gbtree")
    model = _mapping(booster, "model")
    trees = _sequence(model, "trees")
    if any(group != 0 for group in _sequence(model, "tree_info")):
        raise ValueError("several outputs")
    count = len(trees)
    kept: dict[str, Any] = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
        "iteration_indptr": list(range(count + 1)),
        "tree_info": [0] * count,
        "trees": [_checked_tree(tree, number, columns) for number, tree in enumerate(trees)],
    }
    return write_ubjson(
        {
            "learner": {
                "attributes": {},
                "feature_names": [],
                "feature_types": [],
                "gradient_booster": {"model": kept, "name": "gbtree"},
                "learner_model_param": _checked_shape(_mapping(learner, "learner_model_param"), columns),
                "objective": _checked_objective(_mapping(learner, "objective")),
            },
            "version": _checked_version(read.get("version")),
        }
    )


def _checked_version(given: Any) -> list[int]:
    if not isinstance(given, list) or not all(isinstance(each, int) and 0 <= each < 1000 for each in given):
        raise ValueError("no version of XGBoost")
    return given


def _checked_shape(given: Mapping[str, Any], columns: int) -> dict[str, str]:
    """The base score, the number of features, and one output."""
    outputs = (given.get("num_class", "0"), given.get("num_target", "1"))
    if outputs != ("0", "1"):
        raise ValueError("several outputs")
    if given.get("num_feature") != str(columns):
        raise ValueError(f"expected {columns} features, found {given.get('num_feature')}")
    found = _NUMBER.fullmatch(str(given.get("base_score")))
    if found is None or not math.isfinite(float(found[1])):
        raise ValueError("no base score")
    boosts = given.get("boost_from_average", "0")
    if boosts not in ("0", "1"):
        raise ValueError("no base score")
    return {
        "base_score": str(given["base_score"]),
        "boost_from_average": boosts,
        "num_class": "0",
        "num_feature": str(columns),
        "num_target": "1",
    }


def _checked_objective(given: Mapping[str, Any]) -> dict[str, Any]:
    name = str(given.get("name"))
    if name not in _OBJECTIVES:
        raise ValueError(f"an objective of another kind, {name!r}")
    group = _OBJECTIVES[name]
    if group is None:
        return {"name": name}
    parameters = _mapping(given, group)
    if not all(isinstance(each, str) and _PARAMETER.fullmatch(each) for each in parameters.values()):
        raise ValueError("the parameters of the objective are no numbers")
    if parameters.get("lambdarank_unbiased", "0") != "0":
        raise ValueError("an unbiased ranking")
    return {"name": name, group: dict(parameters)}


def _checked_tree(given: Any, number: int, columns: int) -> dict[str, Any]:
    parameters, tree = _mapping(given, "tree_param"), _mapping(given)
    count = len(_sequence(tree, "left_children"))
    if count == 0 or parameters.get("num_deleted", "0") != "0":
        raise ValueError(f"tree {number} has no nodes, or deleted ones")
    if parameters.get("size_leaf_vector", "1") not in ("0", "1"):
        raise ValueError("several outputs")
    nodes = {name: _nodes(tree, name, dtype, count) for name, dtype in _NODES.items()}
    if np.any(_sequence(tree, "split_type")) or len(_sequence(tree, "categories_nodes")):
        raise ValueError(f"tree {number} splits by categories")
    nodes["parents"][0] = _NO_PARENT
    _check_links(nodes, number)
    indices, values = nodes["split_indices"], nodes["split_conditions"]
    if indices.min() < 0 or indices.max() >= columns or nodes["default_left"].max() > 1:
        raise ValueError(f"tree {number} splits by features that there are not")
    leaves = nodes["left_children"] == _LEAF
    if np.isnan(values).any() or not np.isfinite(values[leaves]).all():
        raise ValueError(f"tree {number} has values that are no numbers")
    if not all(np.isfinite(nodes[name]).all() for name in ("base_weights", "loss_changes", "sum_hessian")):
        raise ValueError(f"tree {number} has weights that are no numbers")
    kept = {
        "num_deleted": "0",
        "num_feature": str(columns),
        "num_nodes": str(count),
        "size_leaf_vector": "1",
    }
    return {"id": number, "tree_param": kept, **nodes}


def _check_links(nodes: Mapping[str, NDArray[Any]], number: int) -> None:
    """Raises ValueError unless every node but the first is one child of its parent, and all hang on the first."""
    left, right = (nodes[name] for name in _CHILDREN)
    count, inner = len(left), np.flatnonzero(left != _LEAF)
    children = np.concatenate([left[inner], right[inner]])
    if np.any(right[left == _LEAF] != _LEAF) or np.any(children < 1) or np.any(children >= count):
        raise ValueError(f"tree {number} has children that there are not")
    if len(children) != count - 1 or len(np.unique(children)) != count - 1:
        raise ValueError(f"tree {number} is none: nodes are the children of several others, or of none")
    if np.any(nodes["parents"][children] != np.concatenate([inner, inner])):
        raise ValueError(f"tree {number} has parents that are not those of their children")
    level, reached = np.zeros(1, dtype=np.int32), 0
    for _ in range(_DEEPEST):
        reached += len(level)
        level = level[left[level] != _LEAF]
        level = np.concatenate([left[level], right[level]])
        if not len(level):
            break
    if reached != count:
        raise ValueError(f"tree {number} is deeper than {_DEEPEST} levels, or walks in a circle")


def _nodes(tree: Mapping[str, Any], name: str, dtype: type[np.generic], count: int) -> NDArray[Any]:
    found = tree.get(name)
    if not isinstance(found, np.ndarray) or found.dtype != dtype or len(found) != count:
        raise ValueError(f"expected {count} numbers as {name}")
    return found


def _mapping(given: Any, *names: str) -> dict[str, Any]:
    """The mapping under names in one another."""
    found = given
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"no {'.'.join(names)}")
    return found


def _sequence(given: Mapping[str, Any], name: str) -> Any:
    found = given.get(name, [])
    if not isinstance(found, list | np.ndarray):
        raise ValueError(f"no list of {name}")
    return found
