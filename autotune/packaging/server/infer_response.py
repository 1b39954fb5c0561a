"""Inference responses: JSON, followed by the outputs that were asked for as binary data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .infer_request import InferRequest
from .json_tensor import json_values
from .signature import Array, Signature


@dataclass(frozen=True, slots=True)
class InferResponse:
    """The body of a response; json_bytes: the length of its JSON part where binary data follows, None elsewhere."""

    body: bytes
    json_bytes: int | None


def write_response(request: InferRequest, outputs: Sequence[Array], model: Signature) -> InferResponse:
    """The response with the outputs that a request asked for.

    outputs: all, in the model's order. Raises RequestFault where one cannot be written as JSON.
    """
    documents, parts = [], []
    for one in request.outputs:
        array, tensor = outputs[one.place], model.outputs[one.place]
        document: dict[str, object] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(array.shape),
        }
        if one.is_binary:
            data = np.asarray(array, order="C").tobytes()
            document["parameters"] = {"binary_data_size": len(data)}
            parts.append(data)
        else:
            document["data"] = json_values(array, tensor)
        documents.append(document)
    answer: dict[str, object] = {"model_name": model.model, "model_version": model.version}
    if request.id is not None:
        answer["id"] = request.id
    text = json.dumps({**answer, "outputs": documents}, allow_nan=False, separators=(",", ":")).encode()
    return InferResponse(b"".join([text, *parts]), len(text) if parts else None)
