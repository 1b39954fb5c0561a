"""Copies of loops with other parts (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import tirx


def changed_loop(
    loop: Any, *, extent: Any = None, body: Any = None, annotations: Mapping[str, Any] | None = None
) -> Any:
    """The loop with these in place of its own; None: its own."""
    return tirx.For(
        loop.loop_var,
        loop.min,
        loop.extent if extent is None else extent,
        loop.kind,
        loop.body if body is None else body,
        loop.thread_binding,
        loop.annotations if annotations is None else annotations,
    )
