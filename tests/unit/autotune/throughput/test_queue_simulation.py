"""The simulated queue held against formulas of queueing theory, and its batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.throughput.arrivals import Seconds, poisson_arrivals
from autotune.throughput.queue_simulation import simulate
from autotune.throughput.serving_setup import BatchPolicy, claim

ONE = BatchPolicy()


def latencies(
    load: float, servers: int, service: Callable[[np.random.Generator], float], count: int
) -> Seconds:
    """Latencies at `load` requests a second after the queue has settled."""
    rng = np.random.default_rng(0)
    arrivals = poisson_arrivals(load, count, rng)
    return simulate(arrivals, servers, ONE, lambda *_: service(rng))[count // 10 :]


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_mm1_has_exponential_latencies(load: float) -> None:
    found = latencies(load, 1, lambda rng: rng.exponential(1.0), 150_000)
    assert found.mean() == pytest.approx(1 / (1 - load), rel=0.08)
    assert np.quantile(found, 0.99) == pytest.approx(math.log(100) / (1 - load), rel=0.12)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_md1_waits_as_pollaczek_and_khinchine_say(load: float) -> None:
    found = latencies(load, 1, lambda _: 1.0, 100_000)
    assert found.mean() == pytest.approx(1 + load / (2 * (1 - load)), rel=0.05)


@pytest.mark.parametrize(("load", "servers"), [(1.2, 2), (3.0, 4)])
def test_mmk_waits_as_erlang_says(load: float, servers: int) -> None:
    found = latencies(load, servers, lambda rng: rng.exponential(1.0), 100_000)
    below = sum(load**number / math.factorial(number) for number in range(servers))
    full = load**servers / math.factorial(servers) / (1 - load / servers)
    waiting = full / (below + full)
    assert found.mean() == pytest.approx(1 + waiting / (servers - load), rel=0.05)


def test_a_server_sees_how_many_are_busy() -> None:
    seen: list[int] = []
    simulate(np.array([0.0, 0.1, 0.2, 5.0]), 3, ONE, lambda _, busy: seen.append(busy) or 1.0)
    assert seen == [1, 2, 3, 1]


def test_a_free_instance_takes_what_is_in_the_queue() -> None:
    sizes: list[int] = []
    arrivals = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 3.0])
    found = simulate(arrivals, 1, BatchPolicy(3), lambda count, _: sizes.append(count) or 1.0)
    assert sizes == [1, 3, 1, 1]
    assert found == pytest.approx([1.0, 1.9, 1.8, 1.7, 2.6, 1.0])


def test_a_batch_waits_until_it_is_full_or_its_first_request_has_waited_enough() -> None:
    arrivals = [0.0, 0.1, 0.2, 1.0]
    assert claim(arrivals, 0, 0.0, BatchPolicy(3, 0.5)).start_secs == 0.2
    waited = claim(arrivals, 0, 0.0, BatchPolicy(4, 0.5))
    assert (waited.count, waited.start_secs) == (3, 0.5)
    late = claim(arrivals, 0, 0.7, BatchPolicy(4, 0.5))
    assert (late.count, late.start_secs) == (3, 0.7)


@given(
    gaps=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=40),
    servers=st.integers(1, 4),
    most=st.integers(1, 5),
    wait=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_every_request_is_answered_once_after_its_arrival(
    gaps: list[float], servers: int, most: int, wait: float
) -> None:
    taken: list[int] = []
    arrivals = np.cumsum(gaps)
    found = simulate(arrivals, servers, BatchPolicy(most, wait), lambda count, _: taken.append(count) or 0.5)
    assert sum(taken) == len(gaps)
    assert max(taken) <= most
    assert np.all(found >= 0.5 - 1e-9)


@given(gaps=st.lists(st.floats(0.01, 2.0), min_size=5, max_size=60), servers=st.integers(1, 3))
def test_more_servers_and_less_load_never_make_a_request_slower(gaps: list[float], servers: int) -> None:
    arrivals = np.cumsum(gaps)
    usual = simulate(arrivals, servers, ONE, lambda *_: 0.7)
    more = simulate(arrivals, servers + 1, ONE, lambda *_: 0.7)
    less = simulate(arrivals * 1.5, servers, ONE, lambda *_: 0.7)
    assert np.all(more <= usual + 1e-9)
    assert np.all(less <= usual + 1e-9)
