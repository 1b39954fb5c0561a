"""Requests of the Open Inference Protocol (KServe v2) with binary tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from autotune.models.onnx_file import InputSpec
from search_spaces.errors import Misuse

# The protocol's names of types, where they are not NumPy's in capitals.
_DTYPES = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BF16": "bfloat16"}
_MODEL_PATH = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A model at a server. path: of the model, as in /v2/models/squeezenet."""

    host: str
    port: int
    path: str


class TensorMetadata(msgspec.Struct, frozen=True):
    """An input of a model as the server describes it; a free dimension is -1."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """A model as the server describes it."""

    name: str
    inputs: list[TensorMetadata]


def is_url(text: str) -> bool:
    """Whether a target is a server."""
    return text.startswith(("http://", "https://"))


def parse_url(url: str) -> ServerAddress:
    """A server's address, from `http://localhost:8000/v2/models/squeezenet`. Raises Misuse for anything else."""
    wrong = Misuse(
        f"expected the URL of a model, as in http://localhost:8000/v2/models/squeezenet; found {url!r}",
        code="AT743",
    )
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        raise wrong from None
    path = parts.path.rstrip("/").removesuffix("/infer")
    if parts.scheme != "http" or not parts.hostname or not _MODEL_PATH.fullmatch(path):
        raise wrong
    return ServerAddress(parts.hostname, port, path)


def read_metadata(data: bytes) -> tuple[InputSpec, ...]:
    """The inputs of a model as a server describes it; free dimensions are 1. Raises msgspec.MsgspecError."""
    found = msgspec.json.decode(data, type=ModelMetadata)
    return tuple(
        InputSpec(
            one.name,
            tuple(1 if size < 0 else size for size in one.shape),
            _DTYPES.get(one.datatype, one.datatype.lower()),
        )
        for one in found.inputs
    )


def infer_request(
    inputs: Sequence[InputSpec], arrays: Sequence[npt.NDArray[Any]]
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request with these inputs, whose outputs are asked for in binary as well."""
    names = {numpy: protocol for protocol, numpy in _DTYPES.items()}
    tensors = [
        {
            "name": spec.name,
            "shape": list(array.shape),
            "datatype": names.get(spec.dtype, spec.dtype.upper()),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for spec, array in zip(inputs, arrays, strict=True)
    ]
    head = msgspec.json.encode({"inputs": tensors, "parameters": {"binary_data_output": True}})
    body = b"".join([head, *(np.ascontiguousarray(array).tobytes() for array in arrays)])
    return body, {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
