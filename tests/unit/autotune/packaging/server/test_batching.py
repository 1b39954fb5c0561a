"""Requests that one run answers together, with models that are made up."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from fake_package import Echo, Gate, echo_specs, served

from autotune.packaging.metadata import TensorSpec
from autotune.packaging.server.application import Limits
from autotune.packaging.server.batching import Batching, checked_batching
from autotune.packaging.server.signature import Array, signature

LIMITS = Limits(request_secs=20, body_bytes=100_000)
INFER = "/v2/models/echo/infer"


def request(number: int) -> dict[str, Any]:
    """A request of two rows with a number in each place."""
    one = {"name": "float32_in", "shape": [2, 3], "datatype": "FP32", "data": [number] * 6}
    return {"inputs": [one]}


class FaultyTogether(Gate):
    """A model that waits at its first run, and raises where requests are joined."""

    def run(self, *values: Array) -> Array | tuple[Array, ...]:
        """The inputs of one request."""
        found = super().run(*values)
        if len(values[0]) > 2:
            raise RuntimeError("too many rows")
        return found


@pytest.mark.parametrize(("model", "runs"), [(Gate(), 3), (FaultyTogether(), 5)])
def test_waiting_requests_share_a_run_and_get_their_own_rows(model: Gate, runs: int) -> None:
    statuses: dict[int, Any] = {}
    with served(model, echo_specs(["float32"]), LIMITS, batch=4) as (client, _):

        def ask(number: int) -> None:
            statuses[number] = client.post(INFER, json=request(number)).json()["outputs"][0]["data"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        threads[0].start()
        assert model.entered.acquire(timeout=20)
        for each in threads[1:]:
            each.start()
        while 'inference_queue_length{model="echo"} 3.0' not in client.get("/metrics").text:
            pass
        model.is_open.set()
        for each in threads:
            each.join(20)
    # The first alone, then two of two rows, then the last; a run that fails is made again for each of its requests.
    assert model.runs == runs
    assert statuses == {number: [float(number)] * 6 for number in range(4)}


def test_requests_join_where_their_sizes_are_equal_and_their_rows_fit() -> None:
    def rows(*shape: int) -> tuple[Array, ...]:
        return (np.zeros(shape, np.float32),)

    rule = Batching(4)
    assert rule.takes([rows(1, 3), rows(2, 3)], rows(1, 3))
    assert not rule.takes([rows(1, 3), rows(2, 3)], rows(2, 3))
    assert not rule.takes([rows(1, 3)], rows(1, 4))
    assert not rule.takes([rows(1, 3) + rows(1)], rows(1, 3) + rows(2))
    assert not Batching().takes([rows(1, 3)], rows(1, 3))


class Reducing:
    """A model whose rows depend on each other."""

    def run(self, *values: Array) -> Array:
        """The inputs less the mean of all rows."""
        found: Array = values[0] - values[0].mean(axis=0)
        return found


def test_a_batch_is_refused_where_rows_are_fixed_or_depend_on_each_other() -> None:
    spec = TensorSpec(name="x", shape=(8, 3), dtype="float32", sizes=("1..8", "3"))
    found = signature("echo", "1.0", [spec], [spec])
    assert checked_batching(4, range(1, 9), Echo(), found) == Batching(4)
    with pytest.raises(ValueError, match="--dim"):
        checked_batching(4, range(0), Echo(), found)
    with pytest.raises(ValueError, match="1 to 8"):
        checked_batching(16, range(1, 9), Echo(), found)
    with pytest.raises(ValueError, match="by itself"):
        checked_batching(4, range(1, 9), Reducing(), found)
