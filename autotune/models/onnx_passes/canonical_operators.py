"""Rewriting of all operators to those, and to those forms of them, that TVM imports exactly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from autotune.models.onnx_passes.graph import Graph, OversizedConstant
from autotune.models.onnx_passes.node import Node
from autotune.models.onnx_passes.rewrites import rewrite_of
from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS, name_of, subgraphs
from autotune.models.onnx_passes.single_nodes import OPSET, UNKNOWN, UnknownShape
from autotune.models.onnx_passes.tensor import Tensor
from search_spaces.errors import Misuse, last_line


class UnfitNode(Exception):
    """A node whose attributes or inputs ONNX does not allow: its name, and ONNX's reason."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


def with_canonical_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in terms of the operators that TVM imports exactly; itself, where it has only such.

    Inputs must have static shapes; functions must be inlined, and control flow resolved: a model with an operator
    whose results are unknown is left for later checks. Raises Misuse, with the node's name, for an operator,
    attribute or input that cannot be compiled, and UnfitNode for a node that ONNX does not allow.
    """
    if any(_is_opaque(node) for node in model.graph.node):
        return model
    rewriting = _Rewriting(model)
    graph = rewriting.graph(model.graph)
    if not rewriting.is_needed:
        return model
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    rewritten.graph.CopyFrom(graph)
    del rewritten.opset_import[:]
    rewritten.opset_import.append(helper.make_opsetid("", OPSET))
    return rewritten


class _Rewriting:
    """The walk over a model's nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.is_needed = False
        self._opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._opsets.setdefault("", self._opsets.get("ai.onnx", 1))
        self._opsets["ai.onnx"] = self._opsets[""]
        self._names = {name for node in model.graph.node for name in (*node.input, *node.output)}

    def graph(self, proto: onnx.GraphProto) -> onnx.GraphProto:
        """The rewritten graph."""
        graph = Graph(names=self._names)
        values: dict[str, Tensor] = {}
        for tensor in proto.initializer:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
            values[tensor.name] = Tensor(graph, tensor.name, dtype, tuple(tensor.dims), tensor)
        for value in proto.input:
            if value.name not in values:
                graph.inputs[value.name] = values[value.name] = _fed(graph, value)
        for node in proto.node:
            graph.scope = node.name or next(iter(node.output), node.op_type)
            self._rewrite(node, values, graph)
        return _written(proto, graph, values)

    def _rewrite(self, proto: onnx.NodeProto, values: dict[str, Tensor], graph: Graph) -> None:
        inputs = tuple(values[name] if name else None for name in proto.input)
        node = Node(proto, inputs, self._opsets.get(proto.domain, 1), graph)
        if any(tensor is not None and not tensor.is_static for tensor in inputs):
            raise node.refusal(
                "reads a tensor as long as the values of others make it",
                "Export the model up to there, with that tensor as an output",
            )
        count = len(graph.nodes)
        try:
            outputs = _outputs(node)
        except UnknownShape as error:
            raise node.refusal(
                f"has outputs whose shapes depend on values: {error}",
                "Export the model with static shapes" + node.freezing_advice(*_computed_sizes(node)),
            ) from None
        except OversizedConstant as error:
            raise node.refusal(
                f"computes {error} from constants alone", "Export the model for smaller sizes"
            ) from None
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise UnfitNode(name_of(proto), last_line(error)) from None
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A rewrite takes for granted that axes exist and sizes agree.
            raise UnfitNode(name_of(proto), last_line(error)) from error
        added = [name for each in graph.nodes[count:] for name in each.output]
        if not added or not graph.upgraded.issuperset(added):
            self.is_needed = True
        for name, tensor in zip(proto.output, outputs, strict=False):
            if name:
                if tensor is None:
                    raise node.refusal(f"has the output {name!r}, which is not compiled", "Export it without")
                values[name] = tensor


def _computed_sizes(node: Node) -> list[Tensor]:
    """The inputs of a node that may be sizes, and are computed at run time."""
    return [
        tensor
        for tensor in node.inputs
        if tensor is not None and tensor.array is None and tensor.dtype.kind == "i" and tensor.rank <= 1
    ]


def _outputs(node: Node) -> list[Tensor | None]:
    rewrite = rewrite_of(node.proto)
    found = rewrite(node) if rewrite else None
    if found is not None:
        return list(found)
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.input[:]
    proto.input.extend("" if tensor is None else tensor.name for tensor in node.inputs)
    if proto.domain in DEFAULT_DOMAINS:
        node.graph.upgraded.update(proto.output)
    elif rewrite:
        proto.domain = ""  # one of ONNX's operators under the name of ONNX Runtime
    results = iter(node.graph.append(proto, node.inputs))
    return [next(results) if name else None for name in proto.output]


def _is_opaque(node: onnx.NodeProto) -> bool:
    """True for control flow, for an operator of no known definition, and for one that computes no tensors."""
    if any(subgraphs(node)):
        return True
    if rewrite_of(node) is not None:
        return False
    if node.domain not in DEFAULT_DOMAINS:
        return True
    try:
        schema = onnx.defs.get_schema(node.op_type, OPSET, node.domain)
    except onnx.defs.SchemaError:
        return True
    return not all(any(kind.startswith("tensor") for kind in output.types) for output in schema.outputs)


def _fed(graph: Graph, value: onnx.ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    if any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        raise Misuse(
            f"expected static shapes; the input {value.name!r} has free dimensions. Fix them", code="AT113"
        )
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return Tensor(graph, value.name, dtype, tuple(dim.dim_value for dim in tensor.shape.dim))


def _written(proto: onnx.GraphProto, graph: Graph, values: Mapping[str, Tensor]) -> onnx.GraphProto:
    made = {name for node in graph.nodes for name in node.output}
    makers = {name: node.name for node in proto.node for name in node.output}
    for value in proto.output:
        tensor = values[value.name]
        graph.use(tensor)
        if tensor.name != value.name or value.name not in made:
            name = f"{makers.get(value.name) or value.name}/{value.name}"
            graph.nodes.append(helper.make_node("Identity", [tensor.name], [value.name], name))
    # A name may be an output and, until then, something else's.
    outputs = [
        helper.make_tensor_value_info(
            value.name,
            helper.np_dtype_to_tensor_dtype(values[value.name].dtype),
            [None if size == UNKNOWN else size for size in values[value.name].shape],
        )
        for value in proto.output
    ]
    initializers = [tensor.initializer for tensor in graph.constants.values()]
    return helper.make_graph(
        graph.nodes, proto.name, list(proto.input), outputs, initializers, doc_string=proto.doc_string
    )
