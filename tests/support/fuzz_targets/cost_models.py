"""Cost model files: loaded, and where they are accepted, shown and predicted with in a limited child."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.boosters.tree_check import checked_trees
from cost_models.boosters.ubjson import read_ubjson, write_ubjson
from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import Loss, XGBoostCostModel
from cost_models.dataset import Dataset
from fuzz_targets.edits import edited
from fuzz_targets.limited_child import in_limited_child
from search_spaces.errors import AutotuneError

_COLUMNS = 4
_KIND = "xgboost-cost-model"


def _models() -> Iterator[XGBoostCostModel]:
    rng = np.random.default_rng(0)
    rows = rng.random((60, _COLUMNS)).astype(np.float32)
    for loss in Loss:
        model = XGBoostCostModel(num_boost_round=2, max_depth=3, objective=loss)
        model.fit(Dataset(rows, rows[:, 0].astype(np.float64) + 0.1, rng.integers(0, 2, 60)))
        model.validity = ValidityModel(num_boost_round=2).fit(rows, rows[:, 0] < 0.5)
        yield model


@functools.cache
def _whole() -> tuple[dict[str, Any], dict[str, bytes], bytes]:
    path = Path("whole.costmodel")
    next(_models()).save(path)
    card, boosters = read_model_file(path, _KIND)
    return card, boosters, path.read_bytes()


def seeds() -> Iterator[bytes]:
    """A whole file, trees of each objective, and edits."""
    card, boosters, file = _whole()
    yield b"\x00" + file
    parts = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in boosters.items()]
    yield b"\x00" + json.dumps({**card, "parts": parts}).encode() + b"\n" + b"".join(boosters.values())
    for model in _models():
        assert model._booster is not None
        yield b"\x40" + model._booster.to_bytes()
    for number in range(8):
        yield bytes([0x80 + 16 * number]) + bytes(range(number, 60 + number))


def read(data: bytes, folder: Path) -> None:
    """Loads a file of these bytes, of trees of these bytes with right digests, or with edits of trees or card."""
    kind, data = data[:1], data[1:]
    path = folder / "forged.costmodel"
    card, boosters, _ = _whole()
    if kind < b"\x40":
        path.write_bytes(data)
    else:
        with contextlib.suppress(
            TypeError, ValueError, KeyError, OverflowError, AttributeError, struct.error
        ):
            if kind < b"\x80":
                boosters = {**boosters, "speed": data}
            elif kind < b"\xe0":
                boosters = {**boosters, "speed": write_ubjson(edited(read_ubjson(boosters["speed"]), data))}
            else:
                card = edited(card, data)
            write_model_file(path, card, boosters)
    with contextlib.suppress(AutotuneError):
        card, boosters = read_model_file(path, _KIND)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            for trees in boosters.values():
                checked_trees(trees, card["columns"])
            in_limited_child(lambda: _use(path))


def _use(path: Path) -> None:
    with contextlib.suppress(AutotuneError):
        model = XGBoostCostModel.load(path)
        rows = np.random.default_rng(0).standard_normal((50, model.card["columns"])).astype(np.float32)
        assert not np.isnan(model.predict(rows)).any()
        model.feature_importance()
        if model.validity is not None:
            model.validity.predict(rows)
