"""The call of a graph that fails, found without a file."""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm import relax

from autotune.models.isolation import failing_node
from autotune.models.model import Model
from autotune.models.origin import Origin, Origins


def _model(origins: Origins) -> Model:
    x = relax.Var("x", relax.TensorType((2, 4), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            parts = builder.emit(relax.op.split(x, 2, 1))
            both = builder.emit(relax.op.concat([parts[0], parts[1]], 1))
            found = builder.emit_output(builder.emit(relax.op.nn.softmax(both)))
        builder.emit_func_output(found)
    return Model("net", builder.get(), (), Path("net.pt2"), origins=origins)


def _refuse(operator: str) -> object:
    def attempt(module: tvm.IRModule) -> None:
        if operator in module.script():
            raise ValueError(f"no {operator}")

    return attempt


def test_each_call_is_tried_alone() -> None:
    seen: list[str] = []
    found = failing_node(_model(Origins("net.pt2", {})), lambda module: seen.append(module.script()))
    assert found is None
    assert [sum(f"R.{name}" in text for text in seen) for name in ("split", "concat", "nn.softmax")] == [
        1,
        1,
        1,
    ]


def test_the_operator_is_named_with_its_type() -> None:
    model = _model(Origins("net.pt2", {}))
    found = failing_node(model, _refuse("softmax"))
    assert found is not None
    text = str(model.origins.refusal(found[0], str(found[1])))
    assert text.startswith("cannot import net.pt2: relax.nn.softmax (output")
    assert "float32 2,4): no softmax" in text


def test_the_layer_is_named_where_it_is_known() -> None:
    softmax = list(_model(Origins("", {})).module["main"].body.blocks[0].bindings)[-2].var.name
    model = _model(Origins("net.pt2", {softmax: Origin("head", "aten.softmax", "softmax", None)}))
    found = failing_node(model, _refuse("softmax"))
    assert found is not None
    assert "aten.softmax 'head'" in str(model.origins.refusal(found[0], str(found[1])))
