"""The examination of hostile files: a refusal with a code for each, and nothing read or written elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from autotune.service.documents import Examination
from autotune.service.examination import examine
from autotune.service.limits import ExaminationLimits

LIMITS = replace(ExaminationLimits(), nodes=200, nesting=4, members=10, unpacked_bytes=1 << 22)
EVIL = "<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\x1b[2J"


def examined(path: Path, scratch: Path) -> Examination:
    scratch.mkdir(exist_ok=True)
    *_, last = examine(path, scratch, [], LIMITS)
    return last


def saved(graph: onnx.GraphProto, path: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return path


def graph_of(
    nodes: list[onnx.NodeProto], name: str = "g", weights: list[TensorProto] | None = None
) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    return helper.make_graph(nodes, name, [x], [y], weights or [])


def outside(folder: Path, location: str) -> Path:
    """A model whose weights are in a file elsewhere."""
    weight = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1, 4], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    return saved(graph_of([helper.make_node("Add", ["x", "w"], ["y"])], weights=[weight]), folder / "m.onnx")


def nested(folder: Path) -> Path:
    """A model of branches in branches."""
    node = helper.make_node("Identity", ["x"], ["y"])
    for _ in range(8):
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
        branch = helper.make_graph([node], "b", [], [out])
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return saved(graph_of([node]), folder / "m.onnx")


def archive(folder: Path, *members: tuple[str, bytes]) -> Path:
    path = folder / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def plain(folder: Path, data: bytes) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (lambda folder: plain(folder, b"\x00" * 100), ("AT1",)),
        (lambda folder: plain(folder, b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."), ("AT1",)),
        (lambda folder: outside(folder, "../secret"), ("AT1",)),
        (lambda folder: outside(folder, "/etc/hostname"), ("AT1",)),
        (nested, ("AT905",)),
        (lambda folder: saved(graph_of([helper.make_node("Relu", ["x"], ["y"])] * 300), folder / "m.onnx"), ("AT905",)),
        (lambda folder: archive(folder, ("../evil.onnx", b"x")), ("AT905",)),
        (lambda folder: archive(folder, ("m.onnx", bytes(30 << 20))), ("AT905",)),
        (lambda folder: archive(folder, ("a.onnx", b"x"), ("b.onnx", b"x")), ("AT102",)),
    ],
    ids=["zeros", "pickle", "weights above", "absolute weights", "nesting", "nodes", "path", "bomb", "two models"],
)  # fmt: skip
def test_a_hostile_file_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], codes: tuple[str, ...]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")
    found = examined(make(folder), tmp_path / "out")
    assert found.is_complete
    assert found.refusal is not None
    assert found.refusal.code.startswith(codes), found.refusal
    assert "0123456789" not in str(found)
    assert list(tmp_path.rglob("evil*")) == [] and list(tmp_path.rglob("pwned")) == []


def test_names_of_operators_and_layers_are_told_as_they_are(tmp_path: Path) -> None:
    node = helper.make_node("NoSuch", ["x"], ["y"], name=EVIL, domain="evil.example")
    found = examined(saved(graph_of([node], EVIL), tmp_path / "m.onnx"), tmp_path / "out")
    assert found.refusal is not None
    assert [one.name for one in found.operators] == ["evil.example.NoSuch"]
