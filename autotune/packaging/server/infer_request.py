"""Inference requests: JSON, with the binary tensor data extension, read and held against the model's signature."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from .faults import RequestFault, shown
from .json_tensor import read_json_tensor
from .signature import Array, Signature, Tensor


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for: its place among the model's, and whether as binary data."""

    place: int
    is_binary: bool


@dataclass(frozen=True, eq=False, slots=True)
class InferRequest:
    """A request that fits the model; inputs: in the model's order; outputs: in the order asked for."""

    id: str | None
    inputs: tuple[Array, ...]
    outputs: tuple[RequestedOutput, ...]


def read_request(body: bytes, json_bytes: int | None, model: Signature) -> InferRequest:
    """The request in a body; json_bytes: the length of its JSON part, None where it is all of it.

    Raises RequestFault where it is not a request that the model can run.
    """
    if json_bytes is not None and json_bytes > len(body):
        raise RequestFault(
            400, f"expected a body of at least {json_bytes} bytes, as its header says; found {len(body)}"
        )
    document = _document(body[:json_bytes])
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestFault(400, "expected a string as id; found another type")
    binary = memoryview(body)[len(body) if json_bytes is None else json_bytes :]
    inputs = _inputs(document, binary, model)
    return InferRequest(request_id, inputs, _outputs(document, model))


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RequestFault:
        raise
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else shown(str(error))
        raise RequestFault(
            400, f"expected an inference request as JSON; it cannot be read: {reason}"
        ) from None
    if not isinstance(document, dict):
        raise RequestFault(400, "expected a JSON object as the inference request; found another type")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise RequestFault(400, f"expected numbers of JSON; found {name}, which binary data can hold")


def _objects(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The named objects of a list, empty where there is none. Raises RequestFault where a name comes twice."""
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RequestFault(400, f"expected a list of objects as {key}; found another type")
    names = set()
    for one in found:
        name = one.get("name")
        if not isinstance(name, str):
            raise RequestFault(
                400, f"expected a string as name of each of the {key}; found none or another type"
            )
        if name in names:
            raise RequestFault(400, f"expected each of the {key} once; found {shown(name)} twice")
        names.add(name)
    return found


def _parameters(document: Mapping[str, Any], owner: str) -> dict[str, Any]:
    found = document.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RequestFault(400, f"expected an object as parameters of {owner}; found another type")
    return found


def _flag(parameters: Mapping[str, Any], name: str) -> bool | None:
    found = parameters.get(name)
    if found is not None and not isinstance(found, bool):
        raise RequestFault(400, f"expected true or false as the parameter {name}; found {shown(found)}")
    return found


def _inputs(document: Mapping[str, Any], binary: memoryview, model: Signature) -> tuple[Array, ...]:
    wanted = {one.name: one for one in model.inputs}
    arrays: dict[str, Array] = {}
    place = 0
    for one in _objects(document, "inputs"):
        name = one["name"]
        if name not in wanted:
            raise RequestFault(400, f"expected the inputs {_names(model.inputs)}; found {shown(name)}")
        shape = _shape(one, wanted[name])
        size = _parameters(one, shown(name)).get("binary_data_size")
        if size is None:
            arrays[name] = read_json_tensor(one.get("data"), wanted[name], shape)
            continue
        if "data" in one:
            raise RequestFault(400, f"expected either data or binary_data_size of {shown(name)}; found both")
        arrays[name] = _binary_tensor(binary, place, size, wanted[name], shape)
        place += size
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise RequestFault(400, f"expected the inputs {_names(model.inputs)}; found no {shown(missing[0])}")
    if place != len(binary):
        raise RequestFault(400, f"expected {place} bytes of binary data; found {len(binary)}")
    return tuple(arrays[one.name] for one in model.inputs)


def _shape(document: Mapping[str, Any], tensor: Tensor) -> list[int]:
    """The shape of a request's input, whose datatype is right. Raises RequestFault where either is another."""
    if document.get("datatype") != tensor.datatype:
        found = shown(document.get("datatype"))
        raise RequestFault(
            400, f"expected datatype {tensor.datatype} for {shown(tensor.name)}; found {found}"
        )
    shape = document.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape) or not tensor.fits(shape):
        raise RequestFault(
            400, f"expected shape {list(tensor.shape)} for {shown(tensor.name)}; found {shown(shape)}"
        )
    return shape


def _binary_tensor(
    binary: memoryview, place: int, size: object, tensor: Tensor, shape: Sequence[int]
) -> Array:
    count, name = math.prod(shape), shown(tensor.name)
    wanted = count * tensor.dtype.itemsize
    if type(size) is not int or size != wanted:
        raise RequestFault(400, f"expected {wanted} as binary_data_size of {name}; found {shown(size)}")
    if place + wanted > len(binary):
        found = f"{max(len(binary) - place, 0)}; does the header Inference-Header-Content-Length fit"
        raise RequestFault(400, f"expected {wanted} bytes of binary data for {name}; found {found}")
    array = np.frombuffer(binary, tensor.dtype, count, place)
    if tensor.datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise RequestFault(400, f"expected bytes of 0 and 1 in {name}; found another")
    return array.reshape(shape)


def _outputs(document: Mapping[str, Any], model: Signature) -> tuple[RequestedOutput, ...]:
    are_binary = _flag(_parameters(document, "the request"), "binary_data_output") or False
    places = {one.name: place for place, one in enumerate(model.outputs)}
    found = []
    for one in _objects(document, "outputs"):
        name = one["name"]
        if name not in places:
            raise RequestFault(400, f"expected outputs among {_names(model.outputs)}; found {shown(name)}")
        is_binary = _flag(_parameters(one, shown(name)), "binary_data")
        found.append(RequestedOutput(places[name], are_binary if is_binary is None else is_binary))
    return tuple(found) or tuple(RequestedOutput(place, are_binary) for place in range(len(places)))


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(shown(one.name) for one in tensors)
