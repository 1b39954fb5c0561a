"""Cards of strangers: a cost model whose card says something else than ours is refused, or shown as it is."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.devices.device import Device
from autotune.search.pretrained_model import SHIPPED, PretrainedModel
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.program_model import check_card
from search_spaces import Misuse, Target
from tuning_logs import DeviceFingerprint

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
WHERE = Device("made up", Target.parse("llvm -num-cores=2"), "local", DeviceFingerprint("made up", {}))


@functools.cache
def shipped() -> tuple[dict[str, Any], dict[str, bytes]]:
    return read_model_file(next(SHIPPED.glob("*.costmodel")), "xgboost-cost-model")


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(shipped()[0])), value=JSON)
def test_a_forged_card_is_refused_or_can_be_shown(name: str, value: Any) -> None:
    card = {**shipped()[0], name: value}
    with contextlib.suppress(Misuse):
        check_card(card, Path("forged.costmodel"))
        assert PretrainedModel("forged", XGBoostCostModel(card=card), WHERE).line


@pytest.mark.parametrize("value", [None, {}, [["x"]], {"held_out_tasks": {"tasks": "many"}}])
@pytest.mark.parametrize("name", ["devices", "metrics", "logs", "measured_on", "records", "targets"])
def test_the_command_line_says_what_is_wrong_with_a_card(name: str, value: object, tmp_path: Path) -> None:
    card, boosters = shipped()
    if name in ("logs", "metrics") and value == {}:
        return
    write_model_file(tmp_path / "forged.costmodel", {**card, name: value}, boosters)
    done = run_here("cost-model", "show", tmp_path / "forged.costmodel")
    assert done.returncode == 2
    assert "forged.costmodel" in done.stderr and name in done.stderr and "Traceback" not in done.stderr
