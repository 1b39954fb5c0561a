"""Memory of a board's processor, allocated by its server between guards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class BoardMemory:
    """See `autotune.measurement.device_kernel.DeviceMemory`; session: a connection to the board's server."""

    def __init__(self, session: Any) -> None:
        self.device = session.cpu()
        self._allocate = session.get_function("autotune.board.allocate")
        self._intact = session.get_function("autotune.board.intact")
        self._keep = session.get_function("autotune.board.keep")
        self._release = session.get_function("autotune.board.release")
        self._forget = session.get_function("autotune.board.forget")

    @property
    def intact(self) -> bool:
        """Whether all guards are unchanged."""
        return bool(self._intact())

    def array(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An uninitialised array, which lives until the next release."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self._allocate(size)._create_view(shape, dtype)

    def keep(self) -> None:
        """Keeps the present arrays beyond the next release."""
        self._keep()

    def release(self) -> None:
        """Frees all arrays but the kept ones."""
        self._release()

    def forget(self) -> None:
        """Frees all arrays."""
        self._forget()
