"""A model of one device helps on another, and never hurts where it knows nothing of it."""

from tables import table

from cost_models.adaptation import AdaptationStrategy, adapt, compare, corrected
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.metrics import pairwise_accuracy
from cost_models.program_model import program_model
from cost_models.record_table import RecordTable
from cost_models.training import train

SOURCE = train(table(tasks=12, best=0.3, device="old"))


def accuracy(model: XGBoostCostModel, data: RecordTable) -> float:
    return pairwise_accuracy(data.scores, model.predict(data.features), data.groups)


def test_few_records_of_a_device_that_is_much_like_the_source() -> None:
    few, unseen = (
        table(tasks=4, rows=6, best=0.4, device="new"),
        table(best=0.4, device="new", seed=9, first=50),
    )
    model = adapt(SOURCE, few)
    assert accuracy(model, unseen) > accuracy(program_model().fit(Dataset.of(few)), unseen)


def test_a_source_that_knows_nothing_of_the_device_is_dropped() -> None:
    opposite = train(table(tasks=12, best=5.0, device="old"))
    records, unseen = table(tasks=8, rows=40, best=-5.0, device="new"), table(best=-5.0, seed=9, first=50)
    model = adapt(opposite, records)
    assert model.card["adapted"]["way"] != AdaptationStrategy.SOURCE.value
    assert accuracy(model, unseen) > 0.95 * accuracy(program_model().fit(Dataset.of(records)), unseen)


def test_what_is_compared_is_in_the_card() -> None:
    model = adapt(SOURCE, table(device="new"))
    found = model.card["adapted"]
    assert set(found["held_out_pairwise"]) == {"source", "corrected", "cold"}
    assert found["held_out_pairwise"][found["way"]] == max(found["held_out_pairwise"].values())
    assert found["source"]["tasks"] == 12
    assert model.card["devices"][0]["name"] == "new"


def test_with_hardly_any_records_the_source_is_corrected() -> None:
    few = table(tasks=1, rows=4, device="new")
    assert compare(SOURCE, few) == {}
    assert adapt(SOURCE, few).card["adapted"]["way"] == AdaptationStrategy.CORRECTED.value


def test_a_correction_leaves_the_source_as_it_was() -> None:
    data = table(best=0.8, device="new")
    before = SOURCE.predict(data.features).tolist()
    assert accuracy(corrected(SOURCE, data, 0), data) > accuracy(SOURCE, data)
    assert SOURCE.predict(data.features).tolist() == before
