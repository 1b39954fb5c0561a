"""The model of build times: what takes longer to compile is expected to."""

import numpy as np
import pytest

from cost_models.boosters.build_time_model import BuildTimeModel
from search_spaces.errors import Misuse


def test_it_expects_what_it_has_seen_relative_to_the_rest() -> None:
    features = np.arange(64, dtype=np.float32)[:, None]
    build_secs = np.where(features[:, 0] < 32, 0.1, 0.8)

    expected = BuildTimeModel().fit(features, build_secs).predict(features)

    assert expected[:32] == pytest.approx(-np.log(8) / 2, abs=0.05)
    assert expected[32:] == pytest.approx(np.log(8) / 2, abs=0.05)


def test_times_that_do_not_belong_to_the_rows_are_refused() -> None:
    with pytest.raises(Misuse, match="a time for each of 2 rows"):
        BuildTimeModel().fit(np.zeros((2, 1), dtype=np.float32), np.ones(3))
    with pytest.raises(Misuse, match="not been fitted"):
        BuildTimeModel().predict(np.zeros((2, 1), dtype=np.float32))
