"""A model on the shelf of a service without a request."""

from __future__ import annotations

from contextlib import closing

from autotune.service.service import Service
from autotune.service.uploads import UploadRequest


def shelve(service: Service, name: str = "m.onnx", data: bytes = b"model") -> str:
    """Puts a file on the shelf of a service, to be examined; returns the id of the model."""
    upload = service.uploads.begin(UploadRequest(name, len(data)))
    with closing(service.uploads.open(upload.id, 0)) as file:
        file.write(data)
    service.uploads.complete(upload.id)
    return upload.id
