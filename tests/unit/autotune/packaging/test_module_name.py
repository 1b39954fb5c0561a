"""Names of modules made from names of files."""

from __future__ import annotations

import keyword
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.packaging.module_name import module_name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("squeezenet", "squeezenet"),
        ("ResNet-50 v2", "ResNet_50_v2"),
        ("3d", "model_3d"),
        ("class", "class_model"),
        ("json", "json_model"),
        ("NumPy", "NumPy_model"),
        ("modèle", "modele"),
        ("bert.opt.int8", "bert_opt_int8"),
        ("__init__", "init"),
    ],
)
def test_name(stem: str, name: str) -> None:
    assert module_name(stem) == name


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=400))
def test_every_stem_gives_a_name_that_can_be_imported_and_hides_nothing(stem: str) -> None:
    name = module_name(stem)
    assert name.isidentifier()
    assert name.isascii()
    assert not keyword.iskeyword(name)
    assert not name.startswith("_")
    assert name not in sys.stdlib_module_names
    assert len(name) <= 80


def test_different_long_and_foreign_names_stay_different() -> None:
    stems = ["a" * 300, "a" * 301, "模型", "模型二", "…", "!"]
    assert len({module_name(stem) for stem in stems}) == len(stems)
