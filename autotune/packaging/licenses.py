"""Licences of what a package holds of TVM, as TVM's own distributions have them."""

from __future__ import annotations

from importlib import metadata


def licenses() -> dict[str, str]:
    """The texts of TVM's LICENSE and NOTICE by file name."""
    return {
        name: (metadata.distribution("apache-tvm-ffi").read_text(f"licenses/{name}") or "")
        for name in ("LICENSE", "NOTICE")
    }
