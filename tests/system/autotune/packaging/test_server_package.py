"""The server's package of a small network, in an environment with nothing but what the server needs."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from clean_environment import clean_environment, install
from server_process import server_process, start

import autotune
from autotune.cli.main import app
from autotune.deployment.engine import draw
from autotune.packaging.server_modules import PINNED_REQUIREMENTS

HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Unpacked:
    """A build context that was unpacked, and an environment that its wheel is installed in."""

    model: Path
    folder: Path
    python: Path
    module: str


@pytest.fixture(scope="module")
def unpacked(small_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    folder = tmp_path_factory.mktemp("server")
    app(["package", str(small_network), "--as", "server", "-o", str(folder)], standalone_mode=False)
    [path] = folder.glob("*.tar.gz")
    context = folder / "context"
    with tarfile.open(path) as archive:
        archive.extractall(context, filter="data")
    names = tuple(line.partition("==")[0] for line in PINNED_REQUIREMENTS)
    also = tuple(name for name in names if name != "typing_extensions")
    python = clean_environment(folder / "environment", also)
    [wheel] = context.glob("*.whl")
    install(python, wheel)
    return Unpacked(small_network, context, python, wheel.name.partition("-")[0])


def test_the_context_has_all_that_its_dockerfile_copies(unpacked: Unpacked) -> None:
    lines = (unpacked.folder / "Dockerfile").read_text().splitlines()
    [copied] = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    assert {*copied, "Dockerfile", "README.md"} == {path.name for path in unpacked.folder.iterdir()}
    assert f'CMD ["python", "-m", "{unpacked.module}.server"]' in lines
    assert "@" not in "\n".join(lines)


def test_two_instances_answer_what_the_build_computes(unpacked: Unpacked, tmp_path: Path) -> None:
    [spec] = autotune.load_model(unpacked.model).inputs
    [image] = draw([spec], 7)
    [library] = unpacked.python.parents[1].glob(f"lib/*/site-packages/{unpacked.module}/model.so")
    expected = autotune.load(library)(image)
    one = {
        "name": spec.name,
        "shape": list(image.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": image.nbytes},
    }
    text = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
    content = text + image.tobytes()
    options = ("--instances", "2", "--threads", "1")
    with (
        server_process(unpacked.python, unpacked.module, tmp_path, *options) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        path = f"/v2/models/{unpacked.module}"
        assert client.get(path).json()["inputs"] == [
            {"name": spec.name, "shape": list(spec.shape), "datatype": "FP32"}
        ]
        for _ in range(6):
            response = client.post(f"{path}/infer", content=content, headers={HEADER: str(len(text))})
            assert response.status_code == 200, response.text
            found = np.frombuffer(response.content[int(response.headers[HEADER]) :], np.float32)
            np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
        plain = {**one, "data": image.tolist(), "parameters": {}}
        response = client.post(f"{path}/infer", json={"inputs": [plain]})
        np.testing.assert_allclose(
            response.json()["outputs"][0]["data"], expected.ravel(), rtol=1e-4, atol=1e-5
        )
        wrong = client.post(f"{path}/infer", json={"inputs": [{**plain, "shape": [1]}]})
        assert wrong.status_code == 400
        metrics = client.get("/metrics").text
        assert f'inference_requests_total{{model="{unpacked.module}",status="200"}} 7.0' in metrics
        client.close()
        server.signal()
        code, log = server.ended()
    assert code == 0, log


def test_a_processor_without_what_the_machine_code_needs_is_refused_at_the_start(
    unpacked: Unpacked, tmp_path: Path
) -> None:
    [path] = unpacked.python.parents[1].glob(f"lib/*/site-packages/{unpacked.module}/metadata.json")
    text = path.read_text()
    metadata = json.loads(text)
    metadata["requires"]["cpu_features"].append("avx10-of-tomorrow")
    path.write_text(json.dumps(metadata))
    log = tmp_path / "log"
    try:
        with log.open("w") as stream, start(unpacked.python, unpacked.module, tmp_path, stream) as process:
            assert process.wait(60) == 2
    finally:
        path.write_text(text)
    [line] = log.read_text().splitlines()
    assert line.startswith("error: ")
    assert "avx10-of-tomorrow" in line
