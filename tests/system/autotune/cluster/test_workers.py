"""One contract for all workers: this machine's processes, a Ray cluster and boards behind RPC leave the same log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from rpc_boards import Boards
from thread_crew import ThreadWorkers

from autotune.builders.builder import Builder
from autotune.cluster.address import WorkersAddress
from autotune.devices.connection import Rpc
from autotune.devices.device import Device, local_device, remote_device
from autotune.models.operators import operator_task
from autotune.runners.workers import LocalWorkers, Workers
from autotune.search.samplers import SamplerKind, sampler_factory, without_prior
from autotune.tuning.budget import Budget
from autotune.tuning.task_scheduler import round_robin
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from autotune.workers.fork_server import ForkServer
from search_spaces.errors import AutotuneError
from tuning_logs import Timing, TuningLog, TuningRecord

pytestmark = pytest.mark.alone

_TRIALS = 10
_TASKS = ("matmul:32,32,32", "matmul:32,32,48")


class PatientBuilder:
    """A builder that leaves no slow candidate for the next round, which would let the clock decide on the order."""

    def __init__(self, builder: Builder) -> None:
        self.build = builder.build
        self.close = builder.close


class PatientWorkers:
    """Workers of any kind, with patient builders."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.reach, self.open_runner, self.close = workers.reach, workers.open_runner, workers.close

    def open_builder(self, device: Device) -> Builder:
        return PatientBuilder(self._workers.open_builder(device))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Workers]:
    """A Ray cluster of this machine."""
    pytest.importorskip("ray")
    from autotune.cluster.ray_workers import RayWorkers

    with RayWorkers(WorkersAddress("ray")) as workers:
        yield workers


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    boards = Boards(tmp_path_factory.mktemp("boards"))
    try:
        boards.start("contract", "--threads", "1")
        yield boards
    finally:
        boards.close()


def tuned(
    device: Device, workers: Workers, disturb: Callable[[int], None] | None = None
) -> list[TuningRecord]:
    """The log of a short job with a sampler and turns of tasks that measurements do not lead."""
    log = TuningLog.in_memory()
    job = TuningJob(
        tuple(operator_task(one, local_device(1).target) for one in _TASKS),
        device,
        Budget(trials=_TRIALS),
        seed=3,
        batch=5,
        sampler=sampler_factory(SamplerKind.RANDOM, without_prior),
        sampler_name="random",
        finals_share=0.0,
        scheduler=round_robin,
    )
    for number, _ in enumerate(Tuner(job, log).rounds(workers=workers)):
        if disturb:
            disturb(number)
    return list(log.where())


def _kind(record: TuningRecord) -> str:
    measured = record.measurement
    return "timing" if isinstance(measured, Timing) else measured.kind


def contract(records: list[TuningRecord]) -> list[tuple[object, ...]]:
    """All of a log but its times, in order: also what is wrong with those that failed."""
    return [
        (one.task.key, one.config, _kind(one), one.check is None, one.provenance.trial, one.trace)
        for one in records
    ]


@pytest.mark.parametrize(
    "kind",
    ["crew", pytest.param("ray", marks=pytest.mark.long), pytest.param("rpc", marks=pytest.mark.long)],
)
def test_log_and_order_of_trials_are_those_of_a_local_run(
    kind: str, request: pytest.FixtureRequest, kernels: ForkServer
) -> None:
    device = local_device(1)
    local = tuned(device, PatientWorkers(LocalWorkers(kernels)))
    assert len(local) == _TRIALS + len(_TASKS)
    assert isinstance(local[0].measurement, Timing)
    if kind == "rpc":
        boards: Boards = request.getfixturevalue("boards")
        board = remote_device(Rpc(boards.tracker, "contract"), device.target)
        found = tuned(replace(board, fingerprint=device.fingerprint), PatientWorkers(LocalWorkers(kernels)))
    else:
        workers = request.getfixturevalue("cluster") if kind == "ray" else ThreadWorkers()
        found = tuned(device, PatientWorkers(workers))
    assert contract(found) == contract(local)
    assert {one.device.key for one in found} == {device.fingerprint.key}


@pytest.mark.long
def test_actors_that_are_killed_cost_no_trial(cluster: Workers) -> None:
    def kill_actors(number: int) -> None:
        if number == 1:
            for process in psutil.Process(os.getpid()).children(recursive=True):
                with suppress(psutil.ZombieProcess):
                    if "Actor" in " ".join(process.cmdline()[:1]):
                        os.kill(process.pid, signal.SIGKILL)

    found = tuned(local_device(1), cluster, kill_actors)
    assert len({(one.task, one.config) for one in found}) == _TRIALS + len(_TASKS)


_LISTENING = """
import psutil
from autotune.cluster.address import WorkersAddress
from autotune.cluster.opening import open_workers

with open_workers(WorkersAddress("ray")):
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                print(one.laddr.ip)
"""


@pytest.mark.long
def test_a_cluster_of_this_machine_listens_on_loopback_alone() -> None:
    pytest.importorskip("ray")
    found = subprocess.run([sys.executable, "-c", _LISTENING], check=True, capture_output=True, text=True)
    hosts = {host.removeprefix("::ffff:") for host in found.stdout.split() if ":" in host or "." in host}
    assert hosts == {"127.0.0.1"}


@pytest.mark.long
def test_a_device_of_the_cluster_is_reached_by_the_name_of_its_resource(cluster: Workers) -> None:
    device = cluster.reach("ray:local?threads=1")
    assert device.connection == "ray:local?threads=1"
    assert not device.is_here
    assert device.fingerprint.key == local_device(1).fingerprint.key
    assert len(tuned(device, cluster)) == _TRIALS + len(_TASKS)
    with pytest.raises(AutotuneError, match="resource 'device:pi4', found local"):
        cluster.reach("ray:pi4")
