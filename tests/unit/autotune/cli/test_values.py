"""Values of the command line: parsed, or refused with what was expected."""

from __future__ import annotations

import pytest

from autotune.cli.values import parse_dims, parse_shapes
from autotune.models.size_range import SizeRange
from search_spaces import Misuse


def test_shapes_and_dimensions_are_read_by_name() -> None:
    assert parse_shapes(["images:1,3,320,320", "a:b:2"]) == {"images": (1, 3, 320, 320), "a:b": (2,)}
    assert parse_dims(["batch=1", "a=b=20"]) == {"batch": 1, "a=b": 20}


def test_sizes_may_be_ranges() -> None:
    sizes = (SizeRange(1, 8), 3, SizeRange(160, 320, 32), SizeRange(160, 320, 32))
    assert parse_shapes(["images:1..8,3,160..320:32,160..320:32"]) == {"images": sizes}
    assert parse_shapes(["input:0:1..8:7,3"]) == {"input:0": (SizeRange(1, 8, 7), 3)}
    assert parse_dims(["batch=1..8", "length=16..64:16"]) == {
        "batch": SizeRange(1, 8),
        "length": SizeRange(16, 64, 16),
    }


@pytest.mark.parametrize("text", ["images", "images:", ":1,3", "images:1,,3", "images:1..", "images:1-8"])
def test_a_shape_without_a_name_or_sizes_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="a shape looks like"):
        parse_shapes([text])


@pytest.mark.parametrize("text", ["batch", "batch=", "=1", "batch=0", "batch=-1", "batch=1.5"])
def test_a_dimension_without_a_name_or_a_positive_size_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="looks like batch=1"):
        parse_dims([text])


def test_a_dimension_has_one_size() -> None:
    with pytest.raises(Misuse, match="found two"):
        parse_dims(["batch=1", "batch=2"])
