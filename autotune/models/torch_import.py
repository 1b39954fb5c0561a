"""Programs of `torch.export` as Relax modules, by TVM's importer (imports PyTorch and TVM)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import tvm
from torch.export import ExportedProgram
from tvm import relax
from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

from autotune.models import torch_file
from autotune.models.imported_graph import ImportedGraph
from autotune.models.input_shapes import FixedSizes
from autotune.models.onnx_passes.tensor_types import TensorType
from autotune.models.origin import Origin, Origins
from autotune.models.passes.float32_sums import WITH_OUT_DTYPE
from autotune.models.passes.folded_batch_norms import with_folded_batch_norms
from search_spaces.errors import Misuse, last_line
from search_spaces.quiet_warnings import ignored_warnings

# What TVM's converters ask products for.
_ASKED = "float32"
_REMEDY = "Change the module so that it does without this operator, and export it again"


def imported(path: Path, fixed: FixedSizes) -> ImportedGraph:
    """The program in a file, with static shapes.

    Raises Misuse as `autotune.models.torch_file` does, for programs that change their own state, and for what TVM
    cannot import, with the layer of the module.
    """
    program = torch_file.read(path)
    specs, notices = torch_file.inputs(program, fixed, path.name)
    with ignored_warnings():
        decomposed = program.run_decompositions()
    nodes = _origins(decomposed)
    origins = Origins(path.name, nodes, _REMEDY)
    _check_pure(decomposed, path.name)
    with ignored_warnings():
        module = _module(decomposed, nodes, origins)
    sizes = torch_file.symbols(decomposed, specs)
    if sizes:
        module = relax.transform.BindSymbolicVars(sizes, "main")(module)
    return ImportedGraph(with_folded_batch_norms(module), specs, origins, notices)


def _module(program: ExportedProgram, nodes: dict[str, Origin], origins: Origins) -> tvm.IRModule:
    try:
        return _Importer(nodes, origins).from_exported_program(program, False, True, False, None)
    except Misuse:
        raise
    except Exception as error:
        raise origins.refusal("", f"TVM {tvm.__version__} says {last_line(error)}") from error


def _check_pure(program: ExportedProgram, file: str) -> None:
    """Raises Misuse where a run changes buffers or inputs: a build keeps no state between runs."""
    signature = program.graph_signature
    changed = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if changed:
        raise Misuse(
            f"expected a program without state; a run of {file} changes {', '.join(map(repr, changed[:3]))}"
            f"{', ...' if len(changed) > 3 else ''}. Export the module after .eval(), "
            "with state such as a cache as inputs and outputs",
            code="AT106",
        )


def _origins(program: ExportedProgram) -> dict[str, Origin]:
    """The operators of a program by the names of their nodes: the layer's name in the module, and the result's type."""
    return {
        node.name: Origin(_layer(node), str(node.target), node.name, _type(node))
        for node in program.graph.nodes
        if node.op == "call_function"
    }


def _layer(node: Any) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _type(node: Any) -> TensorType | None:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.dtype not in torch_file.ELEMENT_TYPES:
        return None
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorType(torch_file.ELEMENT_TYPES[value.dtype], shape)


class _TypedBuilder(relax.BlockBuilder):  # type: ignore[misc]
    """A builder of graphs whose products have the type of their operands.

    TVM's converters of products and convolutions ask for float32, whatever the operands are; its group norm takes no
    bfloat16.
    """

    def emit(self, expr: Any, name_hint: str = "") -> Any:
        """Adds an expression to the graph."""
        return super().emit(self._typed(expr), name_hint)

    def _typed(self, expr: Any) -> Any:
        name = getattr(getattr(expr, "op", None), "name", "")
        if name == "relax.nn.group_norm" and str(expr.args[0].ty.dtype.dtype) == "bfloat16":
            wide = [super(_TypedBuilder, self).emit(relax.op.astype(each, _ASKED)) for each in expr.args]
            return relax.op.astype(super().emit(relax.Call(expr.op, wide, expr.attrs)), "bfloat16")
        if name not in WITH_OUT_DTYPE or str(expr.attrs.out_dtype) != _ASKED:
            return expr
        dtype = str(expr.args[0].ty.dtype.dtype)
        if dtype == _ASKED:
            return expr
        operation, attributes = WITH_OUT_DTYPE[name]
        return operation(
            *expr.args, **{each: getattr(expr.attrs, each) for each in attributes}, out_dtype=dtype
        )


class _Importer(ExportedProgramImporter):  # type: ignore[misc]
    """TVM's importer; an error names the user's layer, and results are found again by the names of their variables."""

    def __init__(self, nodes: dict[str, Origin], origins: Origins) -> None:
        super().__init__()
        self._nodes, self._origins = nodes, origins
        self.convert_map: dict[str, Callable[[Any], Any]] = {
            name: functools.partial(self._named, convert) for name, convert in self.convert_map.items()
        }

    @property
    def block_builder(self) -> relax.BlockBuilder:
        """The builder that converters add to."""
        return self._builder

    @block_builder.setter
    def block_builder(self, _: relax.BlockBuilder | None) -> None:
        self._builder = _TypedBuilder()

    def _check_unsupported_func_type(self, nodes: Any) -> None:
        for node in nodes:
            if node.op == "call_function" and node.target.__name__ not in self.convert_map:
                raise self._origins.refusal(
                    node.name, f"TVM {tvm.__version__} has no converter for this operator"
                )

    def _named(self, convert: Callable[[Any], Any], node: Any) -> Any:
        try:
            result = convert(node)
        except Misuse:
            raise
        except Exception as error:
            raise self._origins.refusal(
                node.name, f"TVM {tvm.__version__} says {last_line(error)}"
            ) from error
        if isinstance(result, relax.Var) and node.name in self._nodes:
            self._nodes.setdefault(str(result.name), self._nodes[node.name])
        return result
