"""TFLite files that tests write operator by operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite


@dataclass(frozen=True)
class SparseRows:
    """A constant matrix of which each row's numbers other than 0 are stored, one row after the other."""

    dense: npt.NDArray[Any]


_DTYPES = {
    "float16": tflite.TensorType.FLOAT16,
    "float32": tflite.TensorType.FLOAT32,
    "int32": tflite.TensorType.INT32,
    "bool": tflite.TensorType.BOOL,
    "complex64": tflite.TensorType.COMPLEX64,
}
_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class Operator:
    """An operator by the name of its code; options: members of its table of options, as in {"Axis": 1}."""

    code: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    table: str = ""


@dataclass(frozen=True)
class Graph:
    """A subgraph; tensors: shape and type of those that are computed, and the values of constants, by name."""

    tensors: Mapping[str, tuple[tuple[int, ...], str] | npt.NDArray[Any] | SparseRows]
    operators: Sequence[Operator]
    inputs: Sequence[str]
    outputs: Sequence[str]


def written_tflite(*graphs: Graph) -> bytes:
    """The file with these subgraphs, the first of which is run."""
    builder = flatbuffers.Builder(1024)
    codes = sorted({each.code for graph in graphs for each in graph.operators})
    buffers: list[int] = [_buffer(builder, b"")]
    subgraphs = [_subgraph(builder, graph, codes, buffers) for graph in graphs]
    tables = [_code(builder, name) for name in codes]
    described = builder.CreateString("written by a test")
    vectors = [_vector(builder, each) for each in (tables, subgraphs, buffers)]
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, vectors[0])
    tflite.ModelAddSubgraphs(builder, vectors[1])
    tflite.ModelAddDescription(builder, described)
    tflite.ModelAddBuffers(builder, vectors[2])
    builder.Finish(tflite.ModelEnd(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _subgraph(builder: flatbuffers.Builder, graph: Graph, codes: list[str], buffers: list[int]) -> int:
    places = {name: place for place, name in enumerate(graph.tensors)}
    tensors = [_tensor(builder, name, value, buffers) for name, value in graph.tensors.items()]
    operators = [_operator(builder, each, places, codes) for each in graph.operators]
    vectors = [_vector(builder, each) for each in (tensors, operators)]
    ends = [_numbers(builder, [places[name] for name in names]) for names in (graph.inputs, graph.outputs)]
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, vectors[0])
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, vectors[1])
    return int(tflite.SubGraphEnd(builder))


def _tensor(builder: flatbuffers.Builder, name: str, value: Any, buffers: list[int]) -> int:
    dense = value.dense if isinstance(value, SparseRows) else value
    is_constant = isinstance(dense, np.ndarray)
    shape, dtype = (dense.shape, dense.dtype.name) if is_constant else value
    if is_constant:
        stored = dense[dense != 0] if isinstance(value, SparseRows) else dense
        buffers.append(_buffer(builder, stored.tobytes()))
    sparsity = _sparsity(builder, value.dense) if isinstance(value, SparseRows) else None
    text, sizes = builder.CreateString(name), _numbers(builder, shape)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, sizes)
    tflite.TensorAddType(builder, _DTYPES[dtype])
    tflite.TensorAddBuffer(builder, len(buffers) - 1 if is_constant else 0)
    tflite.TensorAddName(builder, text)
    if sparsity is not None:
        tflite.TensorAddSparsity(builder, sparsity)
    return int(tflite.TensorEnd(builder))


def _sparsity(builder: flatbuffers.Builder, dense: npt.NDArray[Any]) -> int:
    """The places of a matrix's numbers other than 0 as compressed rows."""
    counts, places = (dense != 0).sum(1), np.nonzero(dense)[1]
    tables = []
    for numbers in (np.concatenate([[0], np.cumsum(counts)]), places):
        values = _numbers(builder, numbers)
        tflite.Int32VectorStart(builder)
        tflite.Int32VectorAddValues(builder, values)
        tables.append(int(tflite.Int32VectorEnd(builder)))
    tflite.DimensionMetadataStart(builder)
    tflite.DimensionMetadataAddDenseSize(builder, dense.shape[0])
    rows = int(tflite.DimensionMetadataEnd(builder))
    tflite.DimensionMetadataStart(builder)
    tflite.DimensionMetadataAddFormat(builder, 1)
    tflite.DimensionMetadataAddArraySegmentsType(builder, tflite.SparseIndexVector.Int32Vector)
    tflite.DimensionMetadataAddArraySegments(builder, tables[0])
    tflite.DimensionMetadataAddArrayIndicesType(builder, tflite.SparseIndexVector.Int32Vector)
    tflite.DimensionMetadataAddArrayIndices(builder, tables[1])
    columns = int(tflite.DimensionMetadataEnd(builder))
    axes, order = _vector(builder, [rows, columns]), _numbers(builder, [0, 1])
    tflite.SparsityParametersStart(builder)
    tflite.SparsityParametersAddTraversalOrder(builder, order)
    tflite.SparsityParametersAddDimMetadata(builder, axes)
    return int(tflite.SparsityParametersEnd(builder))


def _operator(
    builder: flatbuffers.Builder, one: Operator, places: Mapping[str, int], codes: list[str]
) -> int:
    inputs, outputs = (
        _numbers(builder, [places[name] for name in names]) for names in (one.inputs, one.outputs)
    )
    options = _options(builder, one) if one.table else None
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, codes.index(one.code))
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, one.table))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _options(builder: flatbuffers.Builder, one: Operator) -> int:
    values = {
        name: value if isinstance(value, int) else _numbers(builder, value)
        for name, value in one.options.items()
    }
    getattr(tflite, f"{one.table}Start")(builder)
    for name, value in values.items():
        getattr(tflite, f"{one.table}Add{name}")(builder, value)
    return int(getattr(tflite, f"{one.table}End")(builder))


def _code(builder: flatbuffers.Builder, name: str) -> int:
    number = getattr(tflite.BuiltinOperator, name)
    tflite.OperatorCodeStart(builder)
    # Codes below 127 are in the old field of one byte as well.
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    tflite.OperatorCodeAddVersion(builder, 1)
    return int(tflite.OperatorCodeEnd(builder))


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    content = builder.CreateByteVector(data) if data else None
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return int(tflite.BufferEnd(builder))


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: flatbuffers.Builder, numbers: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(numbers, np.int32)))
