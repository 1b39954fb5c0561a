"""Requests of the Open Inference Protocol: URLs, what a server says of a model, and binary tensors."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from autotune.models.onnx_file import InputSpec
from autotune.throughput.inference_protocol import ServerAddress, infer_request, parse_url, read_metadata
from search_spaces import Misuse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000/v2/models/net", ServerAddress("localhost", 8000, "/v2/models/net")),
        ("http://h/v2/models/net/infer", ServerAddress("h", 80, "/v2/models/net")),
        ("http://[::1]:9/v2/models/net/versions/2/", ServerAddress("::1", 9, "/v2/models/net/versions/2")),
    ],
)
def test_the_url_of_a_model_is_its_address(url: str, address: ServerAddress) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000",
        "https://h/v2/models/net",
        "http://h:x/v2/models/net",
        "http:///v2/models/n",
        "http://h/v2/models/",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Misuse, match="/v2/models/"):
        parse_url(url)


def test_free_dimensions_are_one_and_types_are_numpys() -> None:
    described = {
        "name": "net",
        "platform": "autotune",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "ids", "datatype": "INT64", "shape": [1, 8]},
        ],
        "outputs": [],
    }
    found = read_metadata(json.dumps(described).encode())
    assert found == (InputSpec("x", (1, 3), "float32"), InputSpec("ids", (1, 8), "int64"))
    with pytest.raises(msgspec.MsgspecError):
        read_metadata(b"{}")


def test_a_request_has_a_head_and_the_bytes_of_its_tensors() -> None:
    inputs = (InputSpec("x", (1, 3), "float32"), InputSpec("ids", (2,), "int64"))
    arrays = [np.arange(3, dtype=np.float32).reshape(1, 3), np.array([7, 8])]
    body, headers = infer_request(inputs, arrays)
    length = int(headers["Inference-Header-Content-Length"])
    head = json.loads(body[:length])
    assert [one["datatype"] for one in head["inputs"]] == ["FP32", "INT64"]
    assert [one["parameters"]["binary_data_size"] for one in head["inputs"]] == [12, 16]
    assert np.frombuffer(body[length : length + 12], np.float32).tolist() == [0.0, 1.0, 2.0]
    assert np.frombuffer(body[length + 12 :], np.int64).tolist() == [7, 8]
