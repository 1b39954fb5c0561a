"""Whole models on boards: a job builds them for the board, and runs them there before and after the search."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rpc_boards import Boards

from autotune.deployment.board_model import BoardModelRunner
from autotune.deployment.executable import SavedModel
from autotune.deployment.model_runner import model_runner
from autotune.deployment.referee import Referee
from autotune.deployment.side_by_side import ModelComparison
from autotune.devices.connection import Rpc
from autotune.devices.device import local_device, remote_device
from autotune.jobs.engine import JobEngine
from autotune.jobs.job_file import JobRequest, ModelRequest
from autotune.jobs.model_builds import ModelBuilds
from autotune.jobs.plan import JobPlan, plan_job
from autotune.jobs.run import run_job
from autotune.jobs.status import JobState
from autotune.models.onnx_file import InputSpec
from autotune.search.samplers import SamplerKind
from autotune.tuning.budget import Budget
from search_spaces import AutotuneError, Target
from tuning_logs import TuningLog

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    boards = Boards(tmp_path_factory.mktemp("boards"))
    try:
        yield boards
    finally:
        boards.close()


def plan(boards: Boards, key: str, model: Path, folder: Path) -> JobPlan:
    """A short search for a model on the boards under a key, with one thread."""
    url = f"rpc://{boards.tracker}/{key}?target={local_device(1).target}"
    return plan_job(
        JobRequest(
            "job",
            (ModelRequest(model, "small", (url,)),),
            Budget(trials=8),
            str(folder / "log.jsonl"),
            folder,
            batch=4,
            sampler=SamplerKind.RANDOM,
        )
    )


def test_a_model_is_built_for_a_board_and_run_there_before_and_after_the_search(
    boards: Boards, small_network: Path, tmp_path: Path
) -> None:
    boards.start("job", "--threads", "1")

    result = run_job(plan(boards, "job", small_network, tmp_path))

    status, log = result.status, result.log
    assert status.state is JobState.FINISHED
    assert len(list(log.iterate())) > 8
    [model] = status.models
    assert model.before is not None
    assert model.after is not None
    # Eight random trials may win or lose: the board's clock decides, and the warning follows from what it said.
    lost = model.after.low_secs > model.before.high_secs
    kept = ["small: the build from before the job is faster, and is kept"] if lost else []
    assert [one for one in status.warnings if "small" in one] == kept
    assert 0 < model.before.low_secs <= model.before.secs <= model.before.high_secs
    assert 0 < model.after.low_secs <= model.after.secs <= model.after.high_secs
    assert model.outputs_equal
    assert model.library is not None
    assert Path(model.library).is_file()
    assert Path(model.library).name.startswith("small@rpc-")
    assert Path(model.library).name.endswith("-job.so")


class VanishingBoard(BoardModelRunner):
    """A board that is switched off between two turns."""

    pid: int

    def side_by_side(
        self,
        builds: Sequence[SavedModel],
        inputs: tuple[InputSpec, ...],
        rounds: int,
        referee: Referee | None,
        spare_secs: Callable[[], float],
    ) -> ModelComparison:
        def switch_off() -> float:
            os.killpg(VanishingBoard.pid, signal.SIGKILL)
            return 1e9

        return super().side_by_side(builds, inputs, rounds, referee, switch_off)


@pytest.mark.long
def test_a_board_that_vanishes_while_a_model_runs_there_is_a_warning(
    boards: Boards, small_network: Path, tmp_path: Path
) -> None:
    VanishingBoard.pid = boards.start("vanishing", "--threads", "1").pid
    model_builds = ModelBuilds(
        tmp_path, str(tmp_path / "log.jsonl"), lambda device: VanishingBoard(device.via, 0)
    )

    def engine(
        plan: JobPlan, log: TuningLog, run_prefix: str, _own: ModelBuilds, *more: object, **rest: object
    ) -> JobEngine:
        return JobEngine(plan, log, run_prefix, model_builds, *more, **rest)

    status = run_job(plan(boards, "vanishing", small_network, tmp_path), engine).status

    assert status.state is JobState.FINISHED
    [warning] = [one for one in status.warnings if "small" in one]
    assert re.search(
        "small is not measured after the job: expected (after|before) on a board under 'vanishing'", warning
    )
    [model] = status.models
    assert model.first_secs is not None
    assert model.after is None


def test_a_library_that_ends_its_session_is_an_error_with_its_last_words(
    boards: Boards, tmp_path: Path
) -> None:
    boards.start("brave", "--threads", "1")
    source, library = tmp_path / "bomb.c", tmp_path / "bomb.so"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        'static void __attribute__((constructor)) start(void) { fputs("no such luck", stderr); abort(); }\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    device = remote_device(Rpc(boards.tracker, "brave"), local_device(1).target)

    with pytest.raises(AutotuneError, match=r"a board under 'brave'.* killed by SIGABRT: no such luck"):
        model_runner(device).measure(SavedModel(library), (), 1, 0.1)


def test_whole_models_are_refused_for_the_gpu_of_a_board(boards: Boards) -> None:
    here = local_device(1)
    device = replace(here, connection="rpc://127.0.0.1:1/gpu", target=Target.parse("nvidia/nvidia-a100"))
    with pytest.raises(AutotuneError, match="found a board's GPU"):
        model_runner(device)
