"""Functions of a model or of an operator's definition, replaced by their bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from autotune.models.onnx_passes.inlining import Inlining
from autotune.models.onnx_passes.rewriting import (
    DEFAULT_DOMAINS,
    label,
    name_of,
    opset_version,
    rebuilt,
    subgraphs,
)
from autotune.models.onnx_passes.tensor_types import inferred_values
from search_spaces.errors import Misuse

# The domain, the name and the overload of a function.
_Key = tuple[str, str, str]
# Functions that call functions; more is recursion.
_MAX_DEPTH = 32
# Nodes of a model without functions.
_MAX_NODES = 1_000_000


def _body(node: onnx.NodeProto, function: onnx.FunctionProto) -> list[onnx.NodeProto]:
    """The nodes of the function that a node calls, in the caller's names."""
    prefix = name_of(node)
    missing = [""] * len(function.input)
    names = dict(zip(function.input, [*node.input, *missing], strict=False))
    names.update((inner, outer) for inner, outer in zip(function.output, node.output, strict=False) if outer)
    attributes = {attribute.name: attribute for attribute in (*function.attribute_proto, *node.attribute)}
    nodes = Inlining(prefix, names, attributes).inlined(function.node)
    made = {name for inner in nodes for name in inner.output}
    # An output of a function may be one of its inputs.
    passed = dict(zip(function.input, [*node.input, *missing], strict=False))
    for inner, outer in zip(function.output, node.output, strict=False):
        if outer and outer not in made:
            nodes.append(onnx.helper.make_node("Identity", [passed[inner]], [outer], f"{prefix}/{inner}"))
    return nodes


def check_calls(model: onnx.ModelProto, file: str) -> None:
    """Raises Misuse for functions that call themselves, and for calls that make more nodes than a model has."""
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    counts: dict[_Key, int] = {}
    for key in functions:
        stack = [key]
        while stack:
            inner = _called(functions[stack[-1]], functions)
            waiting = [each for each in inner if each not in counts]
            if set(waiting) & set(stack):
                raise Misuse(
                    f"expected functions that end; in {file} the function {stack[-1][1]!r} calls itself. "
                    "Export the model without functions",
                    code="AT112",
                )
            if waiting and stack[-1] not in counts:
                stack.append(waiting[0])
            else:
                last = stack.pop()
                counts[last] = len(functions[last].node) + sum(counts[each] for each in inner)
    total = sum(counts[key] for key in _called(onnx.FunctionProto(node=model.graph.node), functions))
    if total > _MAX_NODES:
        raise Misuse(
            f"expected at most {_MAX_NODES} nodes; the functions of {file} call each other so often that they make "
            f"{total}. Export the model without functions",
            code="AT112",
        )


def _called(function: onnx.FunctionProto, functions: Mapping[_Key, object]) -> list[_Key]:
    keys = [(node.domain, node.op_type, node.overload) for node in function.node]
    return [key for key in keys if key in functions]


def with_inlined_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions of its own: each call is replaced by the function's body.

    The name of each node begins with the call's: ``gate/sigmoid``. Raises Misuse for functions that call themselves,
    or that are written for another version of an operator than the model's.
    """
    if not model.functions:
        return model
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    opsets = {each.domain: each.version for function in model.functions for each in function.opset_import}
    opsets.update((each.domain, each.version) for each in model.opset_import)

    def body(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        function = functions.get((node.domain, node.op_type, node.overload))
        if function is None:
            return None
        _check_versions(node, function, opsets)
        return _body(node, function)

    inlined = rebuilt(model, _expanded(model.graph, body, 0))
    del inlined.functions[:], inlined.opset_import[:]
    own = {function.domain for function in model.functions} - {node.domain for node in inlined.graph.node}
    kept = {
        domain: version
        for domain, version in opsets.items()
        if domain not in own or domain in DEFAULT_DOMAINS
    }
    inlined.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in kept.items())
    return inlined


def with_expanded_operators(
    model: onnx.ModelProto, is_kept: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """The model with each operator that is not kept replaced by its definition, where ONNX defines it by others."""
    for _ in range(_MAX_DEPTH):
        if not any(not is_kept(node) and _has_definition(node, model) for node in model.graph.node):
            return model
        types = inferred_values(model)
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            function = None if is_kept(node) else _definition(node, model, types)
            nodes += [node] if function is None else _body(node, function)
        if len(nodes) == len(model.graph.node):
            return model
        model = rebuilt(model, nodes)
    return model


def _expanded(
    graph: onnx.GraphProto, body: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None], depth: int
) -> list[onnx.NodeProto]:
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        found = body(node)
        if found is None:
            nodes.append(_with_expanded_subgraphs(node, body, depth))
        elif depth >= _MAX_DEPTH:
            raise Misuse(
                f"expected functions that end; {label(node)} calls itself. Export the model without functions",
                code="AT112",
            )
        else:
            nodes += _expanded(onnx.GraphProto(node=found), body, depth + 1)
    return nodes


def _with_expanded_subgraphs(
    node: onnx.NodeProto, body: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None], depth: int
) -> onnx.NodeProto:
    if not any(subgraphs(node)):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for inner in subgraphs(copy):
        nodes = _expanded(inner, body, depth)
        del inner.node[:]
        inner.node.extend(nodes)
    return copy


def _check_versions(node: onnx.NodeProto, function: onnx.FunctionProto, opsets: Mapping[str, int]) -> None:
    for written in function.opset_import:
        version = opsets.get(written.domain, written.version)
        for inner in function.node if version != written.version else ():
            if inner.domain == written.domain and _changed(inner, written.version, version):
                raise Misuse(
                    f"expected functions of the model's operator set {version}; {label(node)} calls "
                    f"{function.name!r}, whose {inner.op_type} is of version {written.version}. "
                    "Export the model with one operator set",
                    code="AT111",
                )


def _changed(node: onnx.NodeProto, one: int, other: int) -> bool:
    try:
        first, second = (onnx.defs.get_schema(node.op_type, version, node.domain) for version in (one, other))
    except onnx.defs.SchemaError:
        return False
    return bool(first.since_version != second.since_version)


def _schema(node: onnx.NodeProto, model: onnx.ModelProto) -> onnx.defs.OpSchema | None:
    versions = {each.domain: each.version for each in model.opset_import}
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    version = versions.get(node.domain, opset_version(model) if domain == "" else 1)
    try:
        return onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


def _has_definition(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    schema = _schema(node, model)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def _definition(
    node: onnx.NodeProto, model: onnx.ModelProto, types: Mapping[str, onnx.TypeProto]
) -> onnx.FunctionProto | None:
    schema = _schema(node, model)
    if schema is None:
        return None
    found = _function(node, schema, opset_version(model), types)
    if not found:
        return None
    function = onnx.FunctionProto.FromString(found)
    given = {attribute.name for attribute in node.attribute}
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.type:
            function.attribute_proto.append(attribute.default_value)
    return function


def _function(
    node: onnx.NodeProto, schema: onnx.defs.OpSchema, version: int, types: Mapping[str, onnx.TypeProto]
) -> bytes:
    """The serialized function that defines an operator in a version of the operator set; empty where none does."""
    if schema.has_function:
        written = [each for each in schema.function_opset_versions if each <= version]
        return bytes(schema.get_function_with_opset_version(max(written))) if written else b""
    written = [each for each in schema.context_dependent_function_opset_versions if each <= version]
    if not written or not all(name in types for name in node.input if name):
        return b""
    given = [(types[name] if name else onnx.TypeProto()).SerializeToString() for name in node.input]
    serialized = node.SerializeToString()
    return bytes(schema.get_context_dependent_function_with_opset_version(max(written), serialized, given))
