"""A config is a frozen list of answers that replays itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Config, Decision, IllegalSchedule, Target
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED, baseline_config

ANSWERS = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(1, 64), min_size=1).map(tuple))
CONFIGS = st.lists(st.tuples(st.text(min_size=1, max_size=8), ANSWERS), unique_by=lambda one: one[0]).map(
    lambda answers: Config(tuple(answers))
)


@given(CONFIGS)
def test_a_config_replays_its_own_answers(config: Config) -> None:
    for name, answer in config:
        decision = Decision(name, ("something else", answer))
        assert decision.choices[config(decision)] == answer


@given(CONFIGS, CONFIGS)
def test_keys_are_equal_exactly_when_configs_are(one: Config, other: Config) -> None:
    assert (one.key == other.key) == (one == other)


def test_a_question_the_config_does_not_answer_is_illegal_and_named() -> None:
    with pytest.raises(IllegalSchedule, match="does not answer 'unroll'"):
        Config((("tile", (4, 2)),))(Decision("unroll", (1, 2)))


def test_an_answer_that_is_no_longer_a_choice_is_illegal_and_named() -> None:
    with pytest.raises(IllegalSchedule, match="not among the 2 choices of 'unroll'"):
        Config((("unroll", 512),))(Decision("unroll", (1, 2)))


def test_a_decision_without_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one choice"):
        Decision("tile", ())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("llvm -num-cores=2", DEFAULT_SCHEDULE),
        ("cuda -arch=sm_90", UNTOUCHED),
        ("nvidia/nvidia-a100", UNTOUCHED),
    ],
)
def test_operators_that_were_not_tuned_have_default_schedules_on_cpus_alone(
    target: str, expected: Config
) -> None:
    assert baseline_config(Target.parse(target)) == expected
