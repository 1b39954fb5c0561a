"""The HTTP application, with models that are made up and a client in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake_package import Broken, Echo, FakeMisuse, Gate, echo_specs, served

from autotune.packaging.metadata import TensorSpec
from autotune.packaging.server.application import Limits
from autotune.packaging.server.datatypes import BINARY_ONLY, DTYPES

LIMITS = Limits(request_secs=20, body_bytes=100_000)
DTYPES_OF_NUMPY = [dtype for dtype in DTYPES.values() if dtype != "bfloat16"]
INFER = "/v2/models/echo/infer"
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with served(Echo(), echo_specs(["float32"]), LIMITS) as (found, _):
        yield found


def request(**changes: Any) -> dict[str, Any]:
    """A request that fits, with changes of its input."""
    one = {"name": "float32_in", "shape": [2, 3], "datatype": "FP32", "data": [0, 1.5, 2, 3, 4, 5], **changes}
    return {"inputs": [{key: value for key, value in one.items() if value is not None}]}


def refused(response: Any, status: int, text: str) -> None:
    """Holds an answer against a status and a part of its sentence."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    assert text in response.json()["error"]
    assert "\n" not in response.json()["error"]


def binary(document: dict[str, Any], *parts: bytes) -> dict[str, Any]:
    """The arguments of a post with binary tensor data."""
    text = json.dumps(document).encode()
    return {"content": b"".join([text, *parts]), "headers": {HEADER: str(len(text))}}


def test_health_and_metadata(client: Any) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2").json() == {
        "name": "echo",
        "version": "1.0+b0",
        "extensions": ["binary_tensor_data"],
    }
    expected = {
        "name": "echo",
        "versions": ["1.0+b0"],
        "platform": "autotune_tvm",
        "inputs": [{"name": "float32_in", "datatype": "FP32", "shape": [2, 3]}],
        "outputs": [{"name": "float32_out", "datatype": "FP32", "shape": [2, 3]}],
    }
    assert client.get("/v2/models/echo").json() == expected
    assert client.get("/v2/models/echo/versions/1.0+b0").json() == expected
    assert client.get("/v2/models/echo/ready").json() == {"name": "echo", "ready": True}


def test_readiness_is_lost_and_requests_still_run() -> None:
    with served(Echo(), echo_specs(["float32"]), LIMITS) as (client, readiness):
        readiness.is_ready = False
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/v2/health/ready", "/v2/models/echo/ready"):
            assert (client.get(path).status_code, client.get(path).json()["ready"]) == (503, False)
        assert client.post(INFER, json=request()).status_code == 200


@pytest.mark.parametrize("data", [[0, 1.5, 2, 3, 4, 5], [[0, 1.5, 2], [3, 4, 5]]])
def test_an_inference_as_json(client: Any, data: Any) -> None:
    response = client.post(INFER, content=json.dumps({"id": "4\ud8002", **request(data=data)}))
    assert response.headers["content-type"] == "application/json"
    assert HEADER not in response.headers
    assert response.json() == {
        "model_name": "echo",
        "model_version": "1.0+b0",
        "id": "4\ud8002",
        "outputs": [
            {"name": "float32_out", "datatype": "FP32", "shape": [2, 3], "data": [0, 1.5, 2, 3, 4, 5]}
        ],
    }


@pytest.mark.parametrize("dtype", DTYPES_OF_NUMPY)
def test_every_datatype_as_binary_data(dtype: str) -> None:
    [datatype] = [name for name, numpy in DTYPES.items() if numpy == dtype]
    sent = (np.arange(6) % 2 if dtype == "bool" else np.arange(6)).astype(dtype).reshape(2, 3)
    name = f"{dtype}_in"
    one = {
        "name": name,
        "shape": [2, 3],
        "datatype": datatype,
        "parameters": {"binary_data_size": sent.nbytes},
    }
    with served(Echo(), echo_specs([dtype]), LIMITS) as (client, _):
        post = binary({"inputs": [one], "parameters": {"binary_data_output": True}}, sent.tobytes())
        response = client.post(INFER, **post)
        assert response.status_code == 200, response.text
        length = int(response.headers[HEADER])
        [output] = json.loads(response.content[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": sent.nbytes}
        assert output["datatype"] == datatype
        assert response.content[length:] == sent.tobytes()
        plain = client.post(INFER, **binary({"inputs": [one]}, sent.tobytes()))
        if datatype in BINARY_ONLY:
            refused(plain, 400, "which JSON cannot represent")
        else:
            assert plain.json()["outputs"][0]["data"] == sent.ravel().tolist()


def test_outputs_are_chosen_ordered_and_each_as_json_or_binary() -> None:
    specs = echo_specs(["float32", "int8", "bool"])
    inputs = [
        {"name": "int8_in", "shape": [2, 3], "datatype": "INT8", "parameters": {"binary_data_size": 6}},
        {"name": "bool_in", "shape": [2, 3], "datatype": "BOOL", "data": [True, False] * 3},
        {"name": "float32_in", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}},
    ]
    wanted = [
        {"name": "float32_out", "parameters": {"binary_data": True}},
        {"name": "int8_out"},
    ]
    numbers = np.arange(6, dtype=np.float32)
    parts = bytes(range(6)), numbers.tobytes()
    with served(Echo(), specs, LIMITS) as (client, _):
        response = client.post(INFER, **binary({"inputs": inputs, "outputs": wanted}, *parts))
    length = int(response.headers[HEADER])
    first, second = json.loads(response.content[:length])["outputs"]
    assert (first["name"], second["name"]) == ("float32_out", "int8_out")
    assert second["data"] == list(range(6))
    assert response.content[length:] == numbers.tobytes()


def test_sizes_that_vary_are_minus_one_and_the_model_judges_them() -> None:
    spec = TensorSpec(name="x_in", shape=(8, 3), dtype="float32", sizes=("1..8", "3"))
    one = {"name": "x_in", "shape": [2, 3], "datatype": "FP32", "data": [0] * 6}
    with served(Echo(), [spec], LIMITS) as (client, _):
        metadata = client.get("/v2/models/echo").json()
        assert metadata["inputs"][0]["shape"] == [-1, 3]
        assert metadata["outputs"][0]["shape"] == [-1, -1]
        assert client.post(INFER, json={"inputs": [one]}).json()["outputs"][0]["shape"] == [2, 3]
        for shape in ([2, 4], [0, 3], [-1, 3], [3], [2, 3, 1], [10**30, 3]):
            refused(client.post(INFER, json={"inputs": [{**one, "shape": shape}]}), 400, "expected ")
    with served(Broken(FakeMisuse("expected 1..8\nmore")), [spec], LIMITS) as (client, _):
        refused(client.post(INFER, json={"inputs": [one]}), 400, "expected 1..8")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "y"}, "expected the inputs 'float32_in'; found 'y'"),
        ({"name": 3}, "expected a string as name"),
        ({"name": "\ud800\r\nx: y" * 50}, "found '\\\\ud800\\\\r\\\\n"),
        ({"datatype": "FP64"}, "expected datatype FP32"),
        ({"datatype": "BYTES"}, "expected datatype FP32"),
        ({"datatype": None}, "expected datatype FP32"),
        ({"datatype": ["FP32"]}, "expected datatype FP32"),
        ({"shape": [3, 2]}, "expected shape [2, 3]"),
        ({"shape": [6]}, "expected shape [2, 3]"),
        ({"shape": [2, 3.0]}, "expected shape [2, 3]"),
        ({"shape": [2, True]}, "expected shape [2, 3]"),
        ({"shape": "23"}, "expected shape [2, 3]"),
        ({"shape": None}, "expected shape [2, 3]"),
        ({"data": [1] * 5}, "expected 6 values"),
        ({"data": [1] * 7}, "expected 6 values"),
        ({"data": []}, "expected 6 values"),
        ({"data": None}, "expected a list as data"),
        ({"data": {"a": 1}}, "expected a list as data"),
        ({"data": [[1, 2, 3], [4, 5]]}, "nested as its shape"),
        ({"data": [[1, 2], [3, 4], [5, 6]]}, "nested as its shape"),
        ({"data": [[1, 2, 3], 4, 5, 6]}, "nested as its shape"),
        ({"data": [[[1], [2], [3]], [[4], [5], [6]]]}, "expected numbers"),
        ({"data": [True] * 6}, "expected numbers"),
        ({"data": ["1"] * 6}, "expected numbers"),
        ({"data": [0, 1, 2, 3, 4, None]}, "expected numbers"),
        ({"data": [1e39] * 6}, "out of its range"),
        ({"data": [10**400] * 6}, "out of its range"),
        ({"parameters": {"binary_data_size": 24}}, "found both"),
        ({"parameters": [1]}, "expected an object as parameters"),
        ({"data": None, "parameters": {"binary_data_size": 24}}, "bytes of binary data"),
        ({"data": None, "parameters": {"binary_data_size": True}}, "binary_data_size"),
        ({"data": None, "parameters": {"binary_data_size": -24}}, "binary_data_size"),
        ({"data": None, "parameters": {"binary_data_size": 1e30}}, "binary_data_size"),
    ],
)
def test_a_wrong_tensor_is_refused(client: Any, changes: dict[str, Any], text: str) -> None:
    refused(client.post(INFER, content=json.dumps(request(**changes))), 400, text.replace("\\\\", "\\"))


@pytest.mark.parametrize(
    ("dtype", "datatype", "data", "text"),
    [
        ("int8", "INT8", [128] * 6, "out of its range"),
        ("uint64", "UINT64", [-1] * 6, "out of its range"),
        ("int64", "INT64", [2**63] * 6, "out of its range"),
        ("int32", "INT32", [1.0] * 6, "expected whole numbers"),
        ("int32", "INT32", [True] * 6, "expected whole numbers"),
        ("bool", "BOOL", [1] * 6, "expected true and false"),
        ("float16", "FP16", [1] * 6, "as binary data"),
    ],
)
def test_values_that_a_datatype_does_not_hold_are_refused(
    dtype: str, datatype: str, data: list[Any], text: str
) -> None:
    one = {"name": f"{dtype}_in", "shape": [2, 3], "datatype": datatype, "data": data}
    with served(Echo(), echo_specs([dtype]), LIMITS) as (client, _):
        refused(client.post(INFER, json={"inputs": [one]}), 400, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "as JSON"),
        (b"\xff\xfe{", "as JSON"),
        (b"{", "as JSON"),
        (b"[]", "expected a JSON object"),
        (b"7" * 5000, "as JSON"),
        (b"[" * 50_000, "nested too deeply"),
        (b'{"a":' * 15_000, "nested too deeply"),
        (b'{"inputs": 7}', "expected a list of objects as inputs"),
        (b'{"inputs": [7]}', "expected a list of objects as inputs"),
        (b"{}", "found no 'float32_in'"),
        (b'{"inputs": []}', "found no 'float32_in'"),
        (b'{"id": 7, "inputs": []}', "expected a string as id"),
        (json.dumps(request()).replace("1.5", "NaN").encode(), "found NaN"),
        (json.dumps(request()).replace("1.5", "-Infinity").encode(), "found -Infinity"),
        (json.dumps(request()).replace("1.5", "1e999").encode(), "out of its range"),
        (json.dumps({"inputs": request()["inputs"] * 2}).encode(), "twice"),
        (json.dumps({**request(), "outputs": [{"name": "z"}]}).encode(), "expected outputs among"),
        (json.dumps({**request(), "outputs": [{"name": "float32_out"}] * 2}).encode(), "twice"),
        (json.dumps({**request(), "parameters": {"binary_data_output": 1}}).encode(), "true or false"),
        (b" " * 200_000, "at most 100000 bytes"),
    ],
)
def test_a_wrong_document_is_refused(client: Any, body: bytes, text: str) -> None:
    refused(client.post(INFER, content=body), 413 if len(body) > 100_000 else 400, text)


def test_a_body_that_does_not_say_its_length_is_cut_off_at_the_limit(client: Any) -> None:
    refused(client.post(INFER, content=(b" " * 10_000 for _ in range(11))), 413, "at most 100000 bytes")


def test_wrong_binary_data_is_refused(client: Any) -> None:
    good = request(data=None, parameters={"binary_data_size": 24})
    text = json.dumps(good).encode()
    for body, length, found in (
        (text + b"0" * 23, str(len(text)), "expected 24 bytes of binary data"),
        (text + b"0" * 25, str(len(text)), "expected 24 bytes of binary data; found 25"),
        (text, str(len(text) + 1), "expected a body of at least"),
        (text, "9" * 17, "expected a body of at least"),
        (text, "-1", "expected one length"),
        (text, "1e3", "expected one length"),
        (text, "\xb2", "expected one length"),
        (text, "", "expected one length"),
        (text, "9" * 5000, "expected one length"),
        (text, "0", "as JSON"),
    ):
        refused(client.post(INFER, content=body, headers=[(HEADER, length.encode("latin-1"))]), 400, found)
    twice = [(HEADER, str(len(text))), (HEADER, "1")]
    refused(client.post(INFER, content=text, headers=twice), 400, "expected one length")
    compressed = {"Content-Encoding": "gzip"}
    refused(client.post(INFER, content=text, headers=compressed), 415, "without Content-Encoding")


def test_bytes_of_booleans_are_0_and_1() -> None:
    one = {"name": "bool_in", "shape": [2, 3], "datatype": "BOOL", "parameters": {"binary_data_size": 6}}
    with served(Echo(), echo_specs(["bool"]), LIMITS) as (client, _):
        refused(client.post(INFER, **binary({"inputs": [one]}, b"\0\1\2\0\0\0")), 400, "bytes of 0 and 1")


def test_outputs_that_json_does_not_have_are_refused_with_the_way_out(client: Any) -> None:
    document = request(data=None, parameters={"binary_data_size": 24})
    data = np.full(6, np.nan, np.float32).tobytes()
    refused(client.post(INFER, **binary(document, data)), 400, "parameter binary_data; found NaN")
    document["outputs"] = [{"name": "float32_out", "parameters": {"binary_data": True}}]
    assert client.post(INFER, **binary(document, data)).content.endswith(data)


def test_other_paths_and_methods_are_refused_as_json(client: Any) -> None:
    refused(client.get("/v2/models/other"), 404, "expected the model echo; found 'other'")
    refused(client.post("/v2/models/echo/versions/2/infer"), 404, "expected version 1.0+b0; found '2'")
    refused(client.get("/v1"), 404, "Not Found")
    refused(client.get(INFER), 405, "Method Not Allowed")


def test_a_model_that_fails_is_answered_without_its_traceback() -> None:
    with served(Broken(RuntimeError("secret\npath")), echo_specs(["float32"]), LIMITS) as (client, _):
        refused(client.post(INFER, json=request()), 500, "the server's log says why")
        # The instance goes on.
        refused(client.post(INFER, json=request()), 500, "the server's log says why")
        assert 'inference_requests_total{model="echo",status="500"} 2.0' in client.get("/metrics").text


def test_a_full_queue_is_answered_at_once_and_what_waits_is_run_in_its_order() -> None:
    gate = Gate()
    statuses: list[int] = []
    with served(gate, echo_specs(["float32"]), LIMITS, queue=2) as (client, _):
        threads = []
        for number in range(3):
            threads.append(
                threading.Thread(
                    target=lambda: statuses.append(client.post(INFER, json=request()).status_code)
                )
            )
            threads[-1].start()
            if number == 0:
                assert gate.entered.acquire(timeout=20)
            else:
                _until(client, f'inference_queue_length{{model="echo"}} {number}.0')
        response = client.post(INFER, json=request())
        refused(response, 503, "expected room in the queue")
        assert response.headers["retry-after"] == "1"
        assert 'inference_instances_busy{model="echo"} 1.0' in client.get("/metrics").text
        gate.is_open.set()
        for thread in threads:
            thread.join()
        assert statuses == [200, 200, 200]
        text = client.get("/metrics").text
        assert 'inference_requests_total{model="echo",status="200"} 3.0' in text
        assert 'inference_requests_total{model="echo",status="503"} 1.0' in text
        assert 'inference_queue_length{model="echo"} 0.0' in text
        for stage in ("request", "queue", "compute"):
            assert f'inference_{stage}_duration_seconds_count{{model="echo"}} 3.0' in text


def test_a_request_is_answered_when_its_time_is_over_and_one_that_waited_is_not_run() -> None:
    gate = Gate()
    with served(gate, echo_specs(["float32"]), Limits(0.1, 100_000)) as (client, _):
        for _ in range(2):  # one runs, one waits
            refused(client.post(INFER, json=request()), 504, "within the server's time limit")
        gate.is_open.set()
        _until(client, 'inference_instances_busy{model="echo"} 0.0')
        assert client.post(INFER, json=request()).status_code == 200
        assert gate.runs == 2


def test_two_instances_run_at_the_same_time() -> None:
    gate = Gate()
    with served(gate, echo_specs(["float32"]), LIMITS, instances=2) as (client, _):
        threads = [threading.Thread(target=lambda: client.post(INFER, json=request())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert gate.entered.acquire(timeout=20)
        gate.is_open.set()
        for thread in threads:
            thread.join()


def _until(client: Any, line: str) -> None:
    for _ in range(1000):
        if line in client.get("/metrics").text:
            return
    raise AssertionError(f"{line} does not come")
