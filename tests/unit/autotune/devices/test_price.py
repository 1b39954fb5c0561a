"""The price of a million inferences."""

import pytest

from autotune.devices.price import price_per_million


def test_there_is_no_price_without_one_or_without_throughput() -> None:
    assert price_per_million(None, 10.0) is None
    assert price_per_million(1.0, 0.0) is None
    assert price_per_million(3.6, 1000.0) == pytest.approx(1.0)
