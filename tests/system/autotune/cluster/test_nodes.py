"""Nodes of a Ray cluster that join and leave while a job runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autotune.cluster.address import WorkersAddress
from autotune.models.operators import operator_task
from autotune.search.samplers import SamplerKind, sampler_factory, without_prior
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from tuning_logs import TuningLog

pytestmark = [pytest.mark.alone, pytest.mark.long]

_TRIALS = 96
_NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "resources": {"device:local": 1}}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster whose head coordinates alone, with one node that compiles and measures."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": 100 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.first = made.add_node(**_NODE)
    ray.init(address=made.address, namespace="autotune", log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_node_is_added_and_one_is_lost_without_losing_a_trial(cluster: Any) -> None:
    import ray

    from autotune.cluster.ray_workers import RayWorkers

    log = TuningLog.in_memory()
    nodes: list[set[str]] = []
    with RayWorkers(WorkersAddress("ray")) as workers:
        device = workers.reach("ray:local?threads=1")
        job = TuningJob(
            (operator_task("matmul:32,32,32", device.target),),
            device,
            Budget(trials=_TRIALS),
            batch=8,
            sampler=sampler_factory(SamplerKind.RANDOM, without_prior),
            sampler_name="random",
            finals_share=0.0,
        )
        for number, _ in enumerate(Tuner(job, log).rounds(workers=workers)):
            nodes.append(
                {one["NodeID"] for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU")}
            )
            if number == 2:
                cluster.add_node(**_NODE)
                cluster.wait_for_nodes()
            if number == 6:
                cluster.remove_node(cluster.first, allow_graceful=False)
    records = list(log.where())
    assert len(records) == len({one.config for one in records}) == _TRIALS + 1
    assert {one.device.key for one in records} == {device.fingerprint.key}
    assert len(nodes[0]) == 1
    assert max(map(len, nodes)) == 2
    assert len(nodes[-1]) == 1
    assert nodes[-1] != nodes[0]
