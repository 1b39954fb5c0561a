"""Packages of a small network: installed or compiled elsewhere, and run there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from clean_environment import clean_environment, install
from onnx import TensorProto, helper, numpy_helper
from repository import ROOT

import autotune
from autotune.cli.main import app
from autotune.deployment.engine import draw

USER = ROOT / "tests" / "support" / "wheel_user.py"
QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
NAME = "1st nétwork; 100% $(x)"
INPUT = 'im"age\n; 画像'


@dataclass(frozen=True)
class Packaged:
    """A network with hostile names, its packages, and an environment that the wheel is installed in."""

    model: Path
    wheel: Path
    archive: Path
    python: Path
    arrays: Path
    module: str

    @property
    def installed(self) -> Path:
        """The folder of the module."""
        [found] = self.python.parents[1].glob(f"lib/*/site-packages/{self.module}")
        return found

    def run(self, *command: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter of the environment, which sees nothing of this one."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        return subprocess.run(
            [*under, str(self.python), *command],
            cwd=self.python.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def packaged(small_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    folder = tmp_path_factory.mktemp("packages")
    model = onnx.load(small_network)
    for node in model.graph.node:
        node.input[:] = [INPUT if name == "x" else name for name in node.input]
    model.graph.input[0].name = INPUT
    path = folder / f"{NAME}.onnx"
    onnx.save(model, path)
    out = folder / "out"
    app(["package", str(path), "--as", "wheel", "--as", "archive", "-o", str(out)], standalone_mode=False)
    [wheel], [archive] = out.glob("*.whl"), out.glob("*.tar.gz")
    python = clean_environment(folder / "environment")
    install(python, wheel)
    library = folder / "unpacked.so"
    module = wheel.name.partition("-")[0]
    shutil.copy(next(python.parents[1].glob(f"lib/*/site-packages/{module}/model.so")), library)
    [image] = draw(autotune.load_model(path).inputs, 7)
    arrays = folder / "arrays.npz"
    np.savez(arrays, input=image, output=autotune.load(library)(image))
    return Packaged(path, wheel, archive, python, arrays, module)


def test_a_wheel_runs_where_neither_autotune_nor_tvm_is(packaged: Packaged) -> None:
    found = packaged.run(str(USER), packaged.module, str(packaged.arrays))
    assert found.returncode == 0, found.stderr
    assert found.stdout == f"used {packaged.module}\n"


def test_a_wheel_holds_little_beside_the_weights(packaged: Packaged) -> None:
    site = packaged.installed.parent
    sizes = [
        file.stat().st_size
        for folder in (packaged.installed, site / "tvm_ffi", site / "msgspec", site / "typing_extensions.py")
        for file in ([folder] if folder.is_file() else folder.rglob("*"))
        if file.is_file()
    ]
    assert sum(sizes) < packaged.model.stat().st_size + 25_000_000


def test_a_processor_without_what_the_machine_code_needs_is_refused(packaged: Packaged) -> None:
    path = packaged.installed / "metadata.json"
    text = path.read_text()
    metadata = json.loads(text)
    metadata["requires"]["cpu_features"].append("avx10-of-tomorrow")
    path.write_text(json.dumps(metadata))
    try:
        found = packaged.run("-c", f"import {packaged.module} as m; print(m.inputs[0].dtype); m.self_test()")
    finally:
        path.write_text(text)
    assert found.returncode == 1
    assert found.stdout == "float32\n"
    assert "expected a processor with avx10-of-tomorrow, as the package was built for" in found.stderr


@pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")
def test_an_older_processor_is_refused_before_the_machine_code_is_loaded(packaged: Packaged) -> None:
    assert QEMU is not None
    requires = json.loads((packaged.installed / "metadata.json").read_text())["requires"]
    if "avx2" not in requires["cpu_features"]:
        pytest.skip("this processor has no AVX2 either")
    found = packaged.run(
        "-c", f"import {packaged.module} as m; m.self_test()", under=(QEMU, "-cpu", "Nehalem")
    )
    assert found.returncode == 1, found
    assert "expected a processor with avx, avx2" in found.stderr.splitlines()[-1]


def test_two_packages_and_tvm_share_a_process(packaged: Packaged, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(packaged.installed, tmp_path / name)
    program = "import first, second; first.self_test(); second.self_test(); import tvm; first.self_test(); print('ok')"
    for order in (program, f"import tvm; {program}"):
        found = subprocess.run([sys.executable, "-c", order], cwd=tmp_path, capture_output=True, text=True)
        assert found.stdout == "ok\n", found.stderr


@pytest.mark.parametrize("place", ["\udcff\udcfe [日本]\n#", "link"])
def test_a_package_runs_wherever_it_lies(place: str, packaged: Packaged, tmp_path: Path) -> None:
    shutil.copytree(packaged.installed, tmp_path / "first \udce9" / packaged.module)
    if place == "link":
        (tmp_path / place).symlink_to("first \udce9")
    else:
        (tmp_path / "first \udce9").rename(tmp_path / place)
    program = "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).self_test()"
    found = packaged.run("-c", program, str(tmp_path / place), packaged.module)
    assert found.returncode == 0, found.stderr


def test_the_module_is_typed(packaged: Packaged, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        f"import {packaged.module} as model\n"
        "names: list[str] = [one.name for one in model.inputs]\n"
        "model.self_test()\n"
        "clone: model.PackagedModel = model.load(threads=1).clone()\n"
        "wrong: int = model.outputs[0].shape\n"
    )
    command = [sys.executable, "-m", "mypy", "--python-executable", str(packaged.python), "user.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in found.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, found.stdout
    assert errors[0].startswith("user.py:5: error: Incompatible types in assignment")


def test_an_archive_is_compiled_and_computes_the_stored_outputs(packaged: Packaged, tmp_path: Path) -> None:
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / packaged.module
    for command in (["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build"]):
        built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
    found = subprocess.run(["build/run_model", "."], cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("the outputs are the stored ones\n")
    damaged = folder / "runs" / "run0_output0.bin"
    damaged.write_bytes(np.full(damaged.stat().st_size // 4, 7, np.float32).tobytes())
    found = subprocess.run(["build/run_model", "."], cwd=folder, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (1, "error: expected the stored outputs; found others\n")
    if QEMU is not None:
        command = [QEMU, "-cpu", "Nehalem", "build/run_model", "."]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert found.returncode == 1
        assert found.stderr.startswith("error: expected a processor with avx, avx2")


def test_ranges_of_sizes_work_in_a_wheel_and_not_in_an_archive(packaged: Packaged, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "ranges",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "ranges.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    np.save(tmp_path / "w.npy", weights)
    command = ["package", str(path), "--dim", "batch=1..4", "-o", str(tmp_path), "--as", "wheel"]
    with pytest.raises(autotune.Misuse, match="expected one size for each dimension of the form archive"):
        app([*command, "--as", "archive"], standalone_mode=False)
    app(command, standalone_mode=False)
    [wheel] = tmp_path.glob("*.whl")
    install(packaged.python, wheel)
    program = (
        "import ranges, numpy as np, sys\n"
        "w = np.load(sys.argv[1])\n"
        "ranges.self_test()\n"
        "assert ranges.inputs[0].sizes == ('1..4', '8'), ranges.inputs\n"
        "for batch in range(1, 6):\n"
        "    x = np.random.default_rng(batch).standard_normal((batch, 8)).astype('float32')\n"
        "    assert np.allclose(ranges.run(x), np.maximum(x @ w, 0), atol=1e-5), batch\n"
    )
    found = packaged.run("-c", program, str(tmp_path / "w.npy"))
    assert found.returncode == 1
    assert "Misuse: expected x:1..4,8 float32; found float32 (5, 8)" in found.stderr
