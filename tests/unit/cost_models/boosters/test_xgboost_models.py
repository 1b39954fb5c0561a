"""The two boosters: what they learn, that they forget, and that they survive being saved."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.metrics import pairwise_accuracy, spearman
from search_spaces.errors import Misuse


def made_up(seed: int, rows: int = 200, sign: float = 1.0) -> Dataset:
    """Two groups on different scales; score falls (or rises) with the distance from 0.3 in the first feature."""
    rng = np.random.default_rng(seed)
    features = rng.random((rows, 4)).astype(np.float32)
    groups = rng.integers(0, 2, rows)
    off = np.abs(features[:, 0] - 0.3).astype(np.float64) * sign
    return Dataset(features, np.exp(-3 * off) * (1 + 9 * groups), groups)


def accuracy(model: XGBoostCostModel, dataset: Dataset) -> float:
    return pairwise_accuracy(dataset.scores, model.predict(dataset.features), dataset.groups)


def test_the_ranker_orders_configs_that_it_has_not_seen() -> None:
    assert accuracy(XGBoostCostModel().fit(made_up(0)), made_up(1)) > 0.9


def test_a_fit_forgets_the_one_before() -> None:
    model = XGBoostCostModel().fit(made_up(0, sign=-1.0))
    fresh = XGBoostCostModel().fit(made_up(2))
    assert (
        model.fit(made_up(2)).predict(made_up(3).features).tolist()
        == fresh.predict(made_up(3).features).tolist()
    )


def test_only_the_order_of_the_scores_matters() -> None:
    data = made_up(0)
    cubed = Dataset(data.features, data.scores**3, data.groups)
    rows = made_up(1).features
    assert np.allclose(
        XGBoostCostModel().fit(data).predict(rows), XGBoostCostModel().fit(cubed).predict(rows)
    )


def test_groups_may_come_in_any_order() -> None:
    data = made_up(0)
    shuffled = np.random.default_rng(5).permutation(len(data))
    mixed = Dataset(data.features[shuffled], data.scores[shuffled], data.groups[shuffled])
    assert accuracy(XGBoostCostModel().fit(mixed), made_up(1)) > 0.9


def test_missing_features_are_learned_from() -> None:
    data = made_up(0)
    features = data.features.copy()
    features[:, 1] = np.where(features[:, 0] > 0.5, np.nan, features[:, 1])
    model = XGBoostCostModel().fit(Dataset(features, data.scores, data.groups))
    assert spearman(data.scores, model.predict(features), data.groups) > 0.9


def test_the_seed_decides_the_model() -> None:
    rows = made_up(1).features
    once, again, other = (XGBoostCostModel(seed=seed).fit(made_up(0)).predict(rows) for seed in (1, 1, 2))
    assert once.tolist() == again.tolist()
    assert once.tolist() != other.tolist()


def test_the_classifier_learns_where_things_fail() -> None:
    data = made_up(0)
    model = ValidityModel().fit(data.features, data.features[:, 1] < 0.5)
    unseen = made_up(1).features
    said = model.predict(unseen)
    assert ((said > 0.5) == (unseen[:, 1] < 0.5)).mean() > 0.95
    assert said.min() >= 0
    assert said.max() <= 1


def test_the_classifier_expects_more_of_the_same_until_it_has_seen_both() -> None:
    rows = made_up(1).features
    nothing = np.zeros((0, 4), dtype=np.float32)
    assert ValidityModel().fit(nothing, np.zeros(0, dtype=np.bool_)).predict(rows).tolist() == [1.0] * len(
        rows
    )
    assert ValidityModel().fit(rows, np.zeros(len(rows), dtype=np.bool_)).predict(rows).max() == 0.0


def test_saved_models_predict_the_same(tmp_path: Path) -> None:
    rows = made_up(1).features
    ranker = XGBoostCostModel(seed=3, num_boost_round=20).fit(made_up(0))
    ranker.validity = ValidityModel().fit(rows, rows[:, 0] < 0.5)
    ranker.save(tmp_path / "ranker.costmodel")
    loaded = XGBoostCostModel.load(tmp_path / "ranker.costmodel")
    assert loaded.predict(rows).tolist() == ranker.predict(rows).tolist()
    assert (loaded.seed, loaded.num_boost_round) == (3, 20)
    assert loaded.validity is not None
    assert loaded.validity.predict(rows).tolist() == ranker.validity.predict(rows).tolist()


def test_any_tool_opens_a_model_and_the_same_model_has_the_same_bytes(tmp_path: Path) -> None:
    model = XGBoostCostModel(num_boost_round=5).fit(made_up(0))
    one, other = tmp_path / "one.costmodel", tmp_path / "other.costmodel"
    model.save(one)
    model.save(other)
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert json.loads(archive.read("card.json"))["kind"] == "xgboost-cost-model"
        trees = xgboost.Booster(model_file=bytearray(archive.read("speed.ubj")))
    assert trees.num_boosted_rounds() == 5


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    rows = made_up(1).features
    model = XGBoostCostModel(num_boost_round=5).fit(made_up(0))
    model.save(tmp_path / "new.costmodel")
    card, boosters = read_model_file(tmp_path / "new.costmodel", "xgboost-cost-model")
    parts = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in boosters.items()]
    old = tmp_path / "old.ubj"
    old.write_bytes(json.dumps({**card, "parts": parts}).encode() + b"\n" + b"".join(boosters.values()))
    assert XGBoostCostModel.load(old).predict(rows).tolist() == model.predict(rows).tolist()
    old.write_bytes(old.read_bytes()[:-1] + b"?")
    with pytest.raises(Misuse, match="whole cost model"):
        XGBoostCostModel.load(old)


def test_a_model_that_xgboost_itself_wrote_is_told_apart(tmp_path: Path) -> None:
    trees = xgboost.train({}, xgboost.DMatrix(made_up(0).features, label=made_up(0).scores), 2)
    for name in ("model.ubj", "model.json"):
        trees.save_model(tmp_path / name)
        with pytest.raises(Misuse, match="a model of XGBoost's own"):
            XGBoostCostModel.load(tmp_path / name)


@given(place=st.integers(0, 10**9), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path: Path, place: int, value: int) -> None:
    whole, path = tmp_path / "whole.costmodel", tmp_path / "changed.costmodel"
    if not whole.exists():
        XGBoostCostModel(num_boost_round=2).fit(made_up(0)).save(whole)
    changed = bytearray(whole.read_bytes())
    changed[place % len(changed)] = value
    path.write_bytes(changed)
    try:
        found = read_model_file(path, "xgboost-cost-model")
    except Misuse:
        return
    assert found == read_model_file(whole, "xgboost-cost-model")


def test_a_file_that_is_no_such_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.costmodel"
    with pytest.raises(Misuse, match="no such file"):
        XGBoostCostModel.load(path)
    XGBoostCostModel(num_boost_round=5).fit(made_up(0)).save(path)
    with pytest.raises(Misuse, match="expected a model of kind"):
        read_model_file(path, "another")
    whole = path.read_bytes()
    for torn in (b"", b"not a model", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(torn)
        with pytest.raises(Misuse, match="whole cost model"):
            XGBoostCostModel.load(path)


def test_misuse_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="not been fitted"):
        XGBoostCostModel().predict(made_up(0).features)
    with pytest.raises(Misuse, match="at least one row"):
        XGBoostCostModel().fit(made_up(0, rows=0))
    with pytest.raises(Misuse, match="trained on 4 features; found 2"):
        XGBoostCostModel(num_boost_round=5).fit(made_up(0)).predict(np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(Misuse, match="one outcome for each"):
        ValidityModel().fit(np.zeros((2, 2), dtype=np.float32), np.ones(3, dtype=np.bool_))


@pytest.mark.parametrize("forged", ["bomb", "large card", "members", "names", "zip64", "encrypted", "nested"])
def test_archives_of_strangers_are_refused_at_once(tmp_path: Path, forged: str) -> None:
    path, bomb = tmp_path / "forged.costmodel", bytes(1 << 27)
    digest = hashlib.sha256(bomb).hexdigest()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if forged == "bomb":
            archive.writestr("card.json", json.dumps({"sha256": {"speed": digest}}))
            archive.writestr("speed.ubj", bomb)
        elif forged == "large card":
            archive.writestr("card.json", b" " * (1 << 23) + b"{}")
        elif forged == "names":
            archive.writestr("card.json", json.dumps({"sha256": dict.fromkeys(map(str, range(9)), digest)}))
        elif forged == "nested":
            archive.writestr("card.json", "[" * 100_000)
        else:
            for number in range(70_000 if forged == "zip64" else 200):
                archive.writestr(str(number), b"")
    if forged == "encrypted":
        data = bytearray(path.read_bytes())
        data[data.rindex(b"PK\1\2") + 8] |= 1
        path.write_bytes(data)
    with pytest.raises(Misuse, match="whole cost model"):
        read_model_file(path, "xgboost-cost-model")


def test_a_large_file_and_a_folder_are_no_cost_models(tmp_path: Path) -> None:
    path = tmp_path / "large.costmodel"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Misuse, match="whole cost model"):
        read_model_file(path, "xgboost-cost-model")
    with pytest.raises(Misuse, match="no such file"):
        read_model_file(tmp_path, "xgboost-cost-model")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "x"},
        {"rounds": 1 << 62},
        {"columns": -1},
        {"columns": 3},
        {"columns": None},
        {"objective": "reg:gamma"},
    ],
)
def test_a_card_that_does_not_fit_its_trees_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "forged.costmodel"
    XGBoostCostModel(num_boost_round=2).fit(made_up(0)).save(path)
    card, boosters = read_model_file(path, "xgboost-cost-model")
    write_model_file(path, {**card, **change}, boosters)
    with pytest.raises(Misuse, match="that this package trained"):
        XGBoostCostModel.load(path)
    write_model_file(path, card, {"validity": boosters["speed"]})
    with pytest.raises(Misuse, match="that this package trained"):
        XGBoostCostModel.load(path)
