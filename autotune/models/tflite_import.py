"""TFLite files as Relax modules, by TVM's importer (imports the tflite package and TVM)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
import tvm
from tvm.relax.frontend.tflite import tflite_frontend

from autotune.models.imported_graph import ImportedGraph
from autotune.models.input_shapes import FixedSizes, fix
from autotune.models.onnx_file import InputSpec
from autotune.models.origin import Origin, Origins
from autotune.models.tflite_converter import DTYPES, OperatorConverter, shape_of
from search_spaces.errors import Misuse, last_line

# What a TFLite file has at this place of its first bytes.
_IDENTIFIER, _PLACE = b"TFL3", slice(4, 8)
_REMEDY = "Convert the model again without this operator"


def imported(path: Path, fixed: FixedSizes) -> ImportedGraph:
    """The first subgraph of a file, with the shapes that the file gives.

    Raises Misuse where there is no whole TFLite file, for sizes other than the file's, and for what TVM cannot
    import, with its operator.
    """
    model = _read(path)
    try:
        specs, notices = _inputs(model, fixed, path.name)
        nodes: dict[str, Origin] = {}
        origins = Origins(path.name, nodes, _REMEDY)
        converter = type("Converter", (OperatorConverter,), {"nodes": nodes, "origins": origins})
        module = tflite_frontend.from_tflite(model, op_converter=converter)
    except Misuse:
        raise
    except Exception as error:
        raise Misuse(
            f"cannot import {path.name}: TVM {tvm.__version__} says {last_line(error)}. "
            "Convert the model again, without dynamic-range quantization and operators of TensorFlow itself",
            code="AT106",
        ) from error
    # Names of parameters that it kept as inputs, of which there are none.
    main = module["main"].without_attr("num_input").without_attr("params")
    module.update_func(module.get_global_var("main"), main)
    return ImportedGraph(module, specs, origins, notices)


def inputs(path: Path, fixed: FixedSizes) -> tuple[InputSpec, ...]:
    """The inputs of a file. Raises Misuse as `imported` does."""
    return _inputs(_read(path), fixed, path.name)[0]


def _read(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Misuse(f"expected a TFLite file at {path}; found: {error.strerror}", code="AT101") from error
    if content[_PLACE] != _IDENTIFIER:
        raise Misuse(f"expected a TFLite file; {path} is truncated or not TFLite", code="AT102")
    try:
        model = tflite.Model.GetRootAsModel(content, 0)
        # Reads the tables that a cut file lacks.
        for place in range(model.BuffersLength()):
            model.Buffers(place).DataAsNumpy()
        for place in range(model.Subgraphs(0).OperatorsLength()):
            model.OperatorCodes(model.Subgraphs(0).Operators(place).OpcodeIndex())
    except Exception as error:
        raise Misuse(
            f"expected a whole TFLite file; {path} is damaged: convert or fetch it again", code="AT102"
        ) from error
    return model


def _inputs(model: Any, fixed: FixedSizes, file: str) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """The inputs, and notices of free dimensions: TVM's importer reads all shapes from the file."""
    graph = model.Subgraphs(0)
    specs, notices = [], []
    for place in range(graph.InputsLength()):
        tensor = graph.Tensors(graph.Inputs(place))
        name = tflite_frontend.get_tensor_name(graph, graph.Inputs(place))
        if tensor.Type() not in DTYPES:
            raise Misuse(
                f"expected numbers as inputs; {name!r} of {file} has the TFLite type {tensor.Type()}. "
                "Convert the model with another input",
                code="AT105",
            )
        specs.append(InputSpec(name, shape_of(tensor), DTYPES[tensor.Type()]))
        if tensor.ShapeSignatureLength() and min(tensor.ShapeSignatureAsNumpy()) < 0:
            sizes = ",".join(map(str, specs[-1].shape))
            notices.append(
                f"input {name!r} has free dimensions: taken as in the file, {sizes}. For other sizes, convert the "
                "model with these"
            )
    fix([_value(spec) for spec in specs], fixed, file)
    return tuple(specs), tuple(notices)


def _value(spec: InputSpec) -> onnx.ValueInfoProto:
    elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return onnx.helper.make_tensor_value_info(spec.name, elem_type, spec.shape)
