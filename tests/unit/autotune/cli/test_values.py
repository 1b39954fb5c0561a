"""Values of the command line: parsed, or refused with what was expected."""

from __future__ import annotations

import pytest

from autotune.cli.values import parse_dims, parse_shapes
from search_spaces import Misuse


def test_shapes_and_dimensions_are_read_by_name() -> None:
    assert parse_shapes(["images:1,3,320,320", "a:b:2"]) == {"images": (1, 3, 320, 320), "a:b": (2,)}
    assert parse_dims(["batch=1", "a=b=20"]) == {"batch": 1, "a=b": 20}


@pytest.mark.parametrize("text", ["batch", "batch=", "=1", "batch=0", "batch=-1", "batch=1.5"])
def test_a_dimension_without_a_name_or_a_positive_size_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="looks like batch=1"):
        parse_dims([text])


def test_a_dimension_has_one_size() -> None:
    with pytest.raises(Misuse, match="found two"):
        parse_dims(["batch=1", "batch=2"])
