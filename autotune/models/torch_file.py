"""Programs of `torch.export` in files: read, and their inputs with a size for each dimension (imports PyTorch)."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.export import ExportedProgram

from autotune.models.input_shapes import FixedSizes, fix
from autotune.models.onnx_file import InputSpec
from autotune.models.torch_archive import is_whole_archive
from search_spaces.errors import Misuse

#: The element types that ONNX, and so the rest of this package, knows.
ELEMENT_TYPES = {
    getattr(torch, name): getattr(onnx.TensorProto, proto)
    for name, proto in {
        "float64": "DOUBLE", "float32": "FLOAT", "float16": "FLOAT16", "bfloat16": "BFLOAT16",
        "int64": "INT64", "int32": "INT32", "int16": "INT16", "int8": "INT8", "uint8": "UINT8", "bool": "BOOL",
    }.items()
}  # fmt: skip


def read(path: Path) -> ExportedProgram:
    """The program in the file, as `torch.export.load` returns it: load only files that you trust.

    Raises Misuse where there is no such file, and where it holds no program.
    """
    if not os.path.isfile(path):
        raise Misuse(f"expected an exported PyTorch program at {path}; there is no such file", code="AT101")
    if not is_whole_archive(path):
        raise Misuse(
            f"expected a program that torch.export.save wrote; {path} is truncated or none. Export it again",
            code="AT102",
        )
    try:
        with _quiet():
            return torch.export.load(path)
    except Exception as error:
        raise Misuse(
            f"expected a program that torch.export.save wrote; {path} is damaged, or written by a newer PyTorch than "
            f"{torch.__version__}. Export it again",
            code="AT102",
        ) from error


_logger_lock = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's own account of a file that it cannot read: tracebacks in its log."""
    logger = logging.getLogger("torch.export")
    # Two threads at once would leave the level changed.
    with _logger_lock:
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def inputs(
    program: ExportedProgram, fixed: FixedSizes, file: str
) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """The inputs with static shapes, in the order in which the program takes them, and notices of chosen sizes.

    Dynamic dimensions have the names of PyTorch's symbols; that of an input's first dimension is also called
    ``batch``. Raises Misuse as `autotune.models.input_shapes.fix` does, for inputs that are no tensors, and for sizes
    outside the limits that the program was exported with.
    """
    values = _inputs(program, file)
    batch = next((str(each.shape[0]) for each in values.values() if _starts_free(each)), "")
    fed = [
        onnx.helper.make_tensor_value_info(
            name,
            _element_type(name, value, file),
            [_named(size, batch) for size in value.shape],
        )
        for name, value in values.items()
    ]
    notices = fix(fed, fixed, file)
    specs = tuple(
        InputSpec(
            value.name,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
        )
        for value in fed
    )
    _check_limits(program, specs, file)
    return specs, notices


def symbols(program: ExportedProgram, specs: tuple[InputSpec, ...]) -> dict[str, int]:
    """The size of each symbol of the program's dynamic dimensions, for the shapes of its inputs."""
    sizes: dict[str, int] = {}
    for value, spec in zip(_inputs(program, "").values(), specs, strict=True):
        for size, fixed in zip(value.shape, spec.shape, strict=True):
            if not isinstance(size, int) and size.node.expr.is_Symbol:
                sizes[str(size.node.expr)] = fixed
    return sizes


def _inputs(program: ExportedProgram, file: str) -> dict[str, Any]:
    """The placeholder tensors of the user's inputs by name."""
    found: dict[str, Any] = {}
    by_name = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for name in program.graph_signature.user_inputs:
        node = by_name.get(name) if isinstance(name, str) else None
        value = None if node is None else node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            raise Misuse(
                f"expected tensors as inputs of {file}; found {name!r}. Export it with the other inputs fixed in a "
                "module of your own",
                code="AT105",
            )
        found[str(name)] = value
    return found


def _element_type(name: str, value: torch.Tensor, file: str) -> int:
    if value.dtype not in ELEMENT_TYPES:
        raise Misuse(
            f"expected numbers of whole bytes as inputs; {name!r} of {file} is {value.dtype}. "
            "Export the model with another element type",
            code="AT105",
        )
    return int(ELEMENT_TYPES[value.dtype])


def _starts_free(value: torch.Tensor) -> bool:
    return value.ndim > 0 and not isinstance(value.shape[0], int)


def _named(size: Any, batch: str) -> int | str:
    """A dimension as ONNX writes it: a size, or a name."""
    if isinstance(size, int):
        return size
    return "batch" if str(size) == batch else str(size)


def _check_limits(program: ExportedProgram, specs: tuple[InputSpec, ...], file: str) -> None:
    """Raises Misuse for sizes that the program was not exported for."""
    sizes = symbols(program, specs)
    limits = {str(symbol): limit for symbol, limit in program.range_constraints.items()}
    for value, spec in zip(_inputs(program, file).values(), specs, strict=True):
        for size, chosen in zip(value.shape, spec.shape, strict=True):
            asked = None if isinstance(size, int) else _unmet(size.node.expr, chosen, sizes, limits)
            if asked is not None:
                raise Misuse(
                    f"expected {asked} for a dimension of input {spec.name!r}, as {file} was exported; found {chosen} "
                    f"in {spec.shape}. Choose its shape with --shape {spec.name}:SIZES",
                    code="AT105",
                )


def _unmet(expr: Any, chosen: int, sizes: dict[str, int], limits: dict[str, Any]) -> str | None:
    """The size that an expression of symbols asks for where another one was chosen; None where it is met."""
    expected = expr.subs({each: sizes.get(str(each), each) for each in expr.free_symbols})
    if expected != chosen:
        return f"{expr} = {expected}"
    limit = limits.get(str(expr))
    return (
        None if limit is None or limit.lower <= chosen <= limit.upper else f"{limit.lower} to {limit.upper}"
    )
