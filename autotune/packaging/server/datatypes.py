"""Datatypes of the Open Inference Protocol and their dtypes in NumPy."""

from __future__ import annotations

#: The dtype in NumPy's words by the protocol's name; BF16 as Triton calls it.
DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BF16": "bfloat16",
}
#: Datatypes without a representation in JSON.
BINARY_ONLY = frozenset({"FP16", "BF16"})
_DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


def datatype_of(dtype: str) -> str:
    """The protocol's name of a dtype. Raises ValueError where it has none."""
    if dtype not in _DATATYPES:
        raise ValueError(
            f"expected a tensor of {', '.join(_DATATYPES)}; found {dtype}, which the protocol lacks"
        )
    return _DATATYPES[dtype]
