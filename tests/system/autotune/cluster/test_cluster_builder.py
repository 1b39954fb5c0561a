"""Compiling by a crew: what takes a compiler long is left, stopped while others are measured, and done later."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from optuna.samplers import RandomSampler
from thread_crew import ThreadCrew

from autotune.builders.artifact import Artifact
from autotune.cluster.cluster_builder import ClusterBuilder
from autotune.cluster.compiler import Compiler
from autotune.cluster.coordinator import Coordinator
from autotune.cluster.environment import this_environment
from autotune.cluster.turns import CompilingTurn
from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from autotune.search.task_study import TaskStudy
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

pytestmark = pytest.mark.alone


def stopped() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [one for one in children if one.status() == psutil.STATUS_STOPPED]


def test_what_takes_a_compiler_long_is_stopped_outside_its_turn_and_done_in_the_next(tmp_path: Path) -> None:
    slow, linker = tmp_path / "slow", tmp_path / "linker"
    linker.write_text(f'#!/bin/sh\nif rm {slow}; then sleep 1; fi\nexec cc "$@"\n')
    linker.chmod(0o755)
    space = TensorIRSpace(operator_task("matmul:32,32,32", local_device(1).target))
    study = TaskStudy(space, RandomSampler(seed=0), np.random.default_rng(0))
    chosen = study.ask(4)
    crew, turns = ThreadCrew(Compiler(2), 2), threading.Lock()
    coordinator = Coordinator("compilers", crew, this_environment())
    with ClusterBuilder(coordinator, str(linker), turns=CompilingTurn(turns, crew)) as builder:
        slow.touch()
        built = builder.build_most(chosen)
        assert sorted(type(one).__name__ for one in built) == ["Artifact"] * 3 + ["NoneType"]
        with turns:
            time.sleep(0.1)
            assert len(stopped()) >= 1
        late = chosen[built.index(None)]
        [artifact] = builder.build_most([late])
        assert isinstance(artifact, Artifact)
        assert artifact.config == late.config
        assert artifact.library.stat().st_size > 0
        assert stopped() == []
