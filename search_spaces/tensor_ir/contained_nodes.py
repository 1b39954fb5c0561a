"""Search for nodes of some types in a statement or an expression (imports TVM)."""

from __future__ import annotations

from typing import Any

import tvm_ffi


def contained_nodes(root: Any, *kinds: Any) -> list[Any]:
    """The nodes of these types within `root`, itself included, inner ones first."""
    found: list[Any] = []
    tvm_ffi.structural_walk(root, (kinds, found.append), order="post")
    return found
