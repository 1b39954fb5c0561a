"""The values of nodes that depend on constants alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.rewriting import names_read

Tensors = Mapping[str, onnx.TensorProto]


def evaluated(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], weights: Tensors, wanted: Collection[str]
) -> dict[str, onnx.TensorProto]:
    """The wanted results of nodes in their order, whose inputs are weights or each other's results.

    One session of ONNX Runtime without optimizations computes them. Where it cannot, node by node, with ONNX's
    reference for operators and element types that ONNX Runtime lacks; a node that neither can compute is left out.
    """
    names = [name for node in nodes for name in node.output if name and name in wanted]
    if not names:
        return {}
    try:
        return _computed(_program(model, nodes, weights, names))
    except Exception:  # noqa: BLE001 - one node that cannot be computed must not keep the others from it
        return _one_by_one(model, nodes, weights)


def _one_by_one(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], weights: Tensors
) -> dict[str, onnx.TensorProto]:
    found: dict[str, onnx.TensorProto] = {}
    known = dict(weights)
    for node in nodes:
        if not all(name in known for name in names_read(node)):
            continue
        program = _program(model, [node], known, [name for name in node.output if name])
        for engine in (_computed, _computed_by_reference):
            try:
                results = engine(program)
            except Exception:  # noqa: BLE001 - it is left in the graph, where its error is told
                continue
            found.update(results)
            known.update(results)
            break
    return found


def _program(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], weights: Tensors, names: Sequence[str]
) -> onnx.ModelProto:
    """A model without inputs that computes these names."""
    program = onnx.ModelProto(ir_version=model.ir_version)
    program.opset_import.extend(model.opset_import)
    program.graph.name = "constants"
    program.graph.node.extend(nodes)
    read = {name for node in nodes for name in names_read(node)}
    program.graph.initializer.extend(weights[name] for name in sorted(read) if name in weights)
    program.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return program


def _computed(program: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    import onnxruntime  # a tenth of a second to load; graphs without constants do without

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        program.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return {name: _tensor(value, name) for name, value in zip(names, session.run(names, {}), strict=True)}


def _computed_by_reference(program: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    from onnx.reference import ReferenceEvaluator  # loads half a second of operators

    inferred = onnx.shape_inference.infer_shapes(program)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.output}
    evaluator = ReferenceEvaluator(program)
    results = evaluator.run(None, {})
    tensors = {
        name: _tensor(value, name) for name, value in zip(evaluator.output_names, results, strict=True)
    }
    if any(types[name] not in (onnx.TensorProto.UNDEFINED, tensors[name].data_type) for name in tensors):
        raise TypeError("the reference computes another element type")
    return tensors


def _tensor(value: object, name: str) -> onnx.TensorProto:
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"expected a tensor as {name!r}; found a {type(value).__name__}")
    return numpy_helper.from_array(np.asarray(value, order="C"), name)
