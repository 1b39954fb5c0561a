"""Records found by what people write down."""

from __future__ import annotations

import pytest

from autotune.testing.records import make_record
from search_spaces.errors import Misuse
from tuning_logs import Timing, TuningLog
from tuning_logs.selection.record_lookup import find_record

SLOW = make_record(0, tile=(8, 4), measurement=Timing((0.4,), 0.1))
FAST = make_record(1, tile=(4, 8), measurement=Timing((0.2,), 0.1))
AGAIN = make_record(2, tile=(4, 8), measurement=Timing((0.3, 0.3), 0.1))
OTHER = make_record(3, workload="conv2d", tile=(2, 16))
ELSEWHERE = make_record(4, tile=(1, 32), threads=16)


@pytest.fixture
def log() -> TuningLog:
    found = TuningLog.in_memory()
    found.append([SLOW, FAST, AGAIN, OTHER, ELSEWHERE])
    return found


@pytest.mark.parametrize("text", ["matmul", "matmul/", FAST.task.key])
def test_a_task_stands_for_its_best_config(log: TuningLog, text: str) -> None:
    found = find_record(log, text, FAST.device)
    assert found.config == FAST.config
    assert found.measurement == Timing((0.2, 0.3, 0.3), 0.1)


@pytest.mark.parametrize("text", [f"matmul/{SLOW.config.key[:6]}", SLOW.config.key, SLOW.config.key[:8]])
def test_a_config_is_found_with_and_without_its_task(log: TuningLog, text: str) -> None:
    assert find_record(log, text, SLOW.device) == SLOW


@pytest.mark.parametrize(
    "text",
    ["", "/", "softmax", "matmul/0000", f"conv2d/{SLOW.config.key}", ELSEWHERE.config.key, "0000"],
)
def test_what_no_record_or_several_have_is_refused(log: TuningLog, text: str) -> None:
    with pytest.raises(Misuse, match="expected"):
        find_record(log, text, SLOW.device)


def test_other_targets_do_not_count(log: TuningLog) -> None:
    with pytest.raises(Misuse):
        find_record(log, "matmul", SLOW.device, ["cuda"])
