"""A target reads and writes the form that TVM users know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Misuse, Target

NAMES = st.from_regex(r"[a-z][a-z-]{0,8}[a-z]", fullmatch=True)
VALUES = st.one_of(
    st.integers(-(10**18) + 1, 10**18 - 1),
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.lists(st.from_regex(r"\+[a-z]{1,5}", fullmatch=True), min_size=2, max_size=3).map(tuple),
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_written_reads_back_equal(attrs: dict[str, int | str | tuple[str, ...]]) -> None:
    target = Target("llvm", tuple(attrs.items()))
    assert Target.parse(str(target)) == target


def test_the_order_of_attributes_does_not_matter() -> None:
    assert Target.parse("llvm -num-cores=2 -mcpu=znver4") == Target.parse("llvm -mcpu=znver4 -num-cores=2")


def test_numbers_and_lists_have_their_types() -> None:
    target = Target.parse("llvm -num-cores=2 -mattr=+avx2,+fma -mcpu=haswell")
    assert target.attr("num-cores") == 2
    assert target.attr("mattr") == ("+avx2", "+fma")
    assert target.attr("mcpu") == "haswell"
    assert target.attr("mabi") is None


def test_setting_an_attribute_leaves_the_others() -> None:
    assert str(Target.parse("llvm -mcpu=znver4 -num-cores=8").with_attr("num-cores", 2)) == (
        "llvm -mcpu=znver4 -num-cores=2"
    )


def test_a_number_that_no_target_has_stays_a_text() -> None:
    assert Target.parse(f"llvm -num-cores={'9' * 5000}").attr("num-cores") == "9" * 5000


@pytest.mark.parametrize("text", ["", "-mcpu=x", "llvm mcpu=x", "llvm -mcpu", "LLVM -mcpu=x"])
def test_another_form_is_misuse_that_shows_what_was_found(text: str) -> None:
    with pytest.raises(Misuse):
        Target.parse(text)
