"""Optional packages that read and run models of other formats than ONNX."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from search_spaces.errors import Misuse


def needing(extra: str, module: str, purpose: str) -> ModuleType:
    """Imports a module of this project that needs the packages of an extra.

    Raises Misuse where they are not installed: ``expected PyTorch …``.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise Misuse(
            f"expected the packages of the extra {extra!r} {purpose}; found: {error}. "
            f"Install them: pip install 'autotune[{extra}]'",
            code="AT802",
        ) from error
