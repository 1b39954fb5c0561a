"""One description of a farm gives a manifest for KubeRay and a file for ray up that keep to their schemas."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kuberay_schema import SCHEMA
from typer.testing import CliRunner

from autotune.cli.main import app
from autotune.cluster.farm_file import read_farm
from autotune.cluster.ray_up import ray_up
from search_spaces.errors import Misuse

FARM = """
name = "lab"
image = "images.example/autotune:0.2.0"
job = "jobs.toml"
namespace = "tuning"

[ssh]
head = "10.0.0.1"
user = "tuner"
setup = ["pip install 'autotune[cluster]'"]

[[machines]]
name = "builders"
count = 2
cpus = 16
memory_gb = 32
hosts = ["10.0.0.2", "10.0.0.3"]

[[machines]]
name = "gpus"
device = "a100"
cpus = 8
gpus = 1
compilers = 4
hosts = ["10.0.0.4"]
node_labels = { "example.com/gpu" = "a100" }
"""


@pytest.fixture
def rendered(tmp_path: Path) -> tuple[list[Any], Any]:
    (tmp_path / "farm.toml").write_text(FARM)
    result = CliRunner().invoke(app, ["farm", "render", str(tmp_path / "farm.toml")])
    assert result.exit_code == 0, result.output
    kubernetes = list(yaml.safe_load_all((tmp_path / "lab-kuberay.yaml").read_text()))
    return kubernetes, yaml.safe_load((tmp_path / "lab-ray-up.yaml").read_text())


def test_the_manifest_keeps_to_the_schema_and_reserves_devices(rendered: tuple[list[Any], Any]) -> None:
    cluster, job = rendered[0]
    for one in (cluster, job):
        jsonschema.validate(one, SCHEMA)
    builders, gpus = cluster["spec"]["workerGroupSpecs"]
    assert builders["replicas"] == 2
    assert "resources" not in builders["rayStartParams"]
    assert json.loads(json.loads(gpus["rayStartParams"]["resources"])) == {
        "device:a100": 1,
        "autotune:compile": 4,
    }
    [container] = gpus["template"]["spec"]["containers"]
    assert {"name": "RAY_worker_niceness", "value": "0"} in container["env"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert cluster["spec"]["authOptions"]["mode"] == "token"


def test_the_schema_refuses_what_kuberay_would(rendered: tuple[list[Any], Any]) -> None:
    cluster, _ = rendered[0]
    del cluster["spec"]["workerGroupSpecs"][0]["groupName"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, SCHEMA)


def test_the_file_for_ray_up_keeps_to_rays_schema(rendered: tuple[list[Any], Any]) -> None:
    spec = find_spec("ray")
    if spec is None or spec.origin is None:
        pytest.skip("Ray is not installed")
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(rendered[1], schema)
    assert rendered[1]["provider"]["worker_ips"] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert "device:a100" in rendered[1]["worker_start_ray_commands"][1]
    assert "RAY_worker_niceness=0 ray start" in rendered[1]["worker_start_ray_commands"][1]


def test_mistakes_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(
        FARM.replace("count = 2", "count = 3").replace('name = "gpus"', 'name = "GPUs"') + "\ncolour = 1\n"
    )
    with pytest.raises(Misuse) as caught:
        read_farm(path)
    text = str(caught.value)
    assert "as many hosts as machines are needed, 3; found 2" in text
    assert "found 'GPUs'" in text
    assert "colour" in text


def test_ray_up_needs_addresses(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(FARM.replace('hosts = ["10.0.0.4"]', "").replace('head = "10.0.0.1"', ""))
    with pytest.raises(Misuse, match=r"no hosts of gpus, ssh\.head") as caught:
        ray_up(read_farm(path))
    assert caught.value.code == "AT755"
