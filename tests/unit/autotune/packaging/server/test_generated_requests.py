"""Requests that are generated: each is read, or refused with a status and one sentence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fake_package import Echo, echo_specs, served
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.packaging.server.application import Limits
from autotune.packaging.server.datatypes import DTYPES
from autotune.packaging.server.faults import RequestFault
from autotune.packaging.server.infer_request import RequestedOutput, read_request
from autotune.packaging.server.infer_response import write_response
from autotune.packaging.server.signature import signature

SPECS = echo_specs(["float32", "int8", "bool", "float16"])
MODEL = signature("echo", "1", SPECS, SPECS)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["float32_in", "int8_in", "bool_in", "float16_in", *DTYPES]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
parameters = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "binary_data_output", "other"]), values, max_size=2
)


def near(right: object) -> st.SearchStrategy[Any]:
    """The right value most times, elsewhere any."""
    return st.one_of(st.just(right), st.just(right), st.just(right), values)


def tensors(place: int, as_binary: bool) -> st.SearchStrategy[Any]:
    """An input that is nearly right."""
    spec = MODEL.inputs[place]
    right: dict[str, st.SearchStrategy[Any]] = {
        "name": near(spec.name),
        "datatype": near(spec.datatype),
        "shape": near([2, 3]),
    }
    if as_binary:
        right["parameters"] = near({"binary_data_size": 6 * spec.dtype.itemsize})
        return st.fixed_dictionaries(right, optional={"data": values})
    right["data"] = near([True] * 6 if spec.datatype == "BOOL" else [1] * 6)
    return st.fixed_dictionaries(right, optional={"parameters": parameters})


def nearly_right() -> st.SearchStrategy[Any]:
    """Requests of which a part is wrong, or none."""
    inputs = st.tuples(
        *(st.booleans().flatmap(lambda flag, place=place: tensors(place, flag)) for place in range(3)),
        tensors(3, True),
    )
    return st.fixed_dictionaries(
        {"inputs": st.one_of(inputs.map(list), inputs.map(list), values)},
        optional={
            "id": values,
            "parameters": parameters,
            "outputs": st.lists(
                st.fixed_dictionaries({"name": near("int8_in")}, optional={"parameters": parameters}),
                max_size=3,
            ),
        },
    )


def binary_bytes(document: Any) -> bytes:
    """As many bytes as a document speaks of, as far as it can be told."""
    size = 0
    for one in document["inputs"] if isinstance(document["inputs"], list) else []:
        found = one.get("parameters") if isinstance(one, dict) else None
        number = found.get("binary_data_size") if isinstance(found, dict) else None
        size += number if type(number) is int and 0 < number < 1000 else 0
    return bytes(size)


def answer(body: bytes, length: int | None) -> bool:
    """Whether a request is answered with outputs; where not, it is refused in one sentence."""
    refused = None
    try:
        request = read_request(body, length, MODEL)
        response = write_response(request, request.inputs, MODEL)
    except RequestFault as fault:
        refused = fault
    if refused is not None:
        assert 400 <= refused.status < 500
        assert refused.message.isascii()
        assert refused.message.isprintable()
        assert refused.message.startswith("expected ")
        assert len(refused.message) < 400
        return False
    found = [(one.shape, one.dtype) for one in request.inputs]
    assert found == [((2, 3), spec.dtype) for spec in MODEL.inputs]
    json.loads(response.body[: response.json_bytes])
    return True


@given(nearly_right(), st.one_of(st.just(0), st.just(0), st.integers(-20, 20)))
@settings(max_examples=100)
def test_nearly_right_requests(document: Any, too_long: int) -> None:
    text = json.dumps(document).encode()
    answer(text + binary_bytes(document), max(len(text) + too_long, 0))
    answer(text, None)


@given(
    st.one_of(st.binary(max_size=200), values.map(lambda one: json.dumps(one).encode())), st.integers(0, 300)
)
@settings(max_examples=50)
def test_arbitrary_bodies(body: bytes, length: int) -> None:
    assert not answer(body, length)
    assert not answer(body, None)


@given(
    st.lists(st.sampled_from(range(4)), unique=True),
    st.permutations(range(4)),
    st.integers(0, 2**32 - 1),
    st.sets(st.sampled_from(range(3))),
)
@settings(max_examples=30)
def test_right_requests_come_back_equal(
    wanted: list[int], order: list[int], seed: int, as_json: set[int]
) -> None:
    generator = np.random.default_rng(seed)
    arrays = [(generator.random((2, 3)) * 100).astype(one.dtype) for one in MODEL.inputs]
    inputs, parts = [], []
    for place in order:
        one, array = MODEL.inputs[place], arrays[place]
        document: dict[str, Any] = {"name": one.name, "shape": [2, 3], "datatype": one.datatype}
        if place in as_json:
            document["data"] = array.tolist()
        else:
            document["parameters"] = {"binary_data_size": array.nbytes}
            parts.append(array.tobytes())
        inputs.append(document)
    outputs = [{"name": MODEL.outputs[place].name} for place in wanted]
    text = json.dumps(
        {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    ).encode()
    request = read_request(b"".join([text, *parts]), len(text), MODEL)
    for found, array in zip(request.inputs, arrays, strict=True):
        assert np.array_equal(found, array)
    assert request.outputs == tuple(RequestedOutput(place, True) for place in (wanted or range(4)))
    response = write_response(request, arrays, MODEL)
    assert response.body[response.json_bytes :] == b"".join(
        arrays[one.place].tobytes() for one in request.outputs
    )


@pytest.fixture(scope="module")
def client() -> Any:
    with served(Echo(), SPECS, Limits(20, 10_000)) as (found, _):
        yield found


headers = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=8)


@given(nearly_right(), st.one_of(st.none(), headers), st.one_of(st.none(), headers))
@settings(max_examples=30)
def test_the_server_refuses_with_4xx_and_never_fails(
    client: Any, document: Any, length: str | None, encoding: str | None
) -> None:
    named = {"Inference-Header-Content-Length": length, "Content-Encoding": encoding}
    sent = {name: value.encode("latin-1") for name, value in named.items() if value is not None}
    response = client.post("/v2/models/echo/infer", content=json.dumps(document), headers=sent)
    assert response.status_code == 200 or 400 <= response.status_code < 500
    assert response.status_code == 200 or list(response.json()) == ["error"]
