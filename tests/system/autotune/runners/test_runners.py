"""This CPU and a board behind RPC obey the laws of builders and runners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from rpc_boards import Boards

from autotune.builders.artifact import Artifact
from autotune.builders.builder import Builder
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import Rpc
from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from autotune.runners.local_runner import LocalRunner
from autotune.runners.rpc_runner import BoardOptions, RpcRunner
from autotune.runners.runner import Runner
from autotune.testing.builder_laws import BuilderLaws
from autotune.testing.runner_laws import RunnerLaws
from autotune.workers.fork_server import ForkServer
from search_spaces import Candidate, IllegalSchedule
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def candidates() -> list[Candidate]:
    """The untouched matmul and a scheduled one."""
    space = TensorIRSpace(operator_task("matmul:16,16,16", local_device(1).target))
    rng = np.random.default_rng(0)
    while True:
        try:
            scheduled = space.apply(
                lambda decision: int(rng.integers(decision.name == "sketch", len(decision.choices)))
            )
        except IllegalSchedule:
            continue
        return [space.apply(space.default), scheduled]


@pytest.fixture
def builder(kernels: ForkServer) -> Iterator[LocalBuilder]:
    with LocalBuilder(workers=1, server=kernels) as builder:
        yield builder


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    boards = Boards(tmp_path_factory.mktemp("boards"))
    try:
        boards.start("laws", "--threads", "1")
        yield boards
    finally:
        boards.close()


class TestLocalBuilder(BuilderLaws):
    @pytest.fixture
    def builder(self, builder: LocalBuilder) -> Builder:
        return builder


class TestRunners(RunnerLaws):
    @pytest.fixture(params=["cpu", "board"])
    def runner(self, request: pytest.FixtureRequest, kernels: ForkServer) -> Runner:
        if request.param == "cpu":
            return LocalRunner(local_device(1), server=kernels)
        boards: Boards = request.getfixturevalue("boards")
        return RpcRunner(Rpc(boards.tracker, "laws"), BoardOptions(1))

    @pytest.fixture
    def artifacts(self, builder: LocalBuilder, candidates: list[Candidate]) -> Sequence[Artifact]:
        built = builder.build(candidates)
        assert all(isinstance(one, Artifact) for one in built), built
        return built  # type: ignore[return-value]
