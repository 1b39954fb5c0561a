"""Uploads of compiled code to a session on a board: signed where the session has a key."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

from autotune.transport.handshake import SessionKey
from autotune.transport.signature import Signature, Signer


class Upload(Protocol):
    """Sends code to a board."""

    def load_library(self, content: bytes) -> Any:
        """Sends a shared library and loads it there, as a TVM module."""
        ...

    def use_gpu_code(self, cubin: bytes) -> None:
        """Sends machine code of a GPU for the library that is loaded next."""
        ...


class PlainUpload:
    """Uploads to a board that asks for no signatures.

    connection: TVM's session with the board.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._names = (f"{number}.so" for number in itertools.count())

    def load_library(self, content: bytes) -> Any:
        """See `Upload.load_library`."""
        name = next(self._names)
        self._connection.upload(bytearray(content), name)
        return self._connection.load_module(name)

    def use_gpu_code(self, cubin: bytes) -> None:
        """See `Upload.use_gpu_code`."""
        self._connection.get_function("autotune.board.gpu_code")(bytearray(cubin))


class SignedUpload:
    """Uploads to a board that loads nothing without a signature by the session's key."""

    def __init__(self, connection: Any, key: SessionKey) -> None:
        self._connection = connection
        self._signer = Signer(key)

    def load_library(self, content: bytes) -> Any:
        """See `Upload.load_library`."""
        return self._send("autotune.board.load_signed", "library", content)

    def use_gpu_code(self, cubin: bytes) -> None:
        """See `Upload.use_gpu_code`."""
        self._send("autotune.board.gpu_code_signed", "gpu code", cubin)

    def _send(self, function: str, purpose: str, content: bytes) -> Any:
        signature: Signature = self._signer.sign(purpose, content)
        send = self._connection.get_function(function)
        return send(bytearray(content), signature.sequence, bytearray(signature.digest))
