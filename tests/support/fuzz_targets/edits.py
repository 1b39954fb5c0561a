"""Edits of a document, drawn from the fuzzer's bytes: what is behind a file's digest is reached, too."""

from __future__ import annotations

from typing import Any

import atheris
import numpy as np

_VALUES = (
    None,
    True,
    0,
    -1,
    1,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
    10**30,
    1e300,
    float("inf"),
    float("nan"),
    "",
    [],
    {},
)


def edited(document: Any, data: bytes) -> Any:
    """A copy of a document of dicts, lists and arrays in which up to three values are others, or gone."""
    provider = atheris.FuzzedDataProvider(data)
    for _ in range(provider.ConsumeIntInRange(1, 3)):
        document = _edited(document, provider)
    return document


def _edited(value: Any, provider: Any) -> Any:
    is_inner = isinstance(value, dict | list | np.ndarray) and len(value) > 0
    if not is_inner or provider.ConsumeIntInRange(0, 9) == 0:
        return _other(value, provider)
    if isinstance(value, np.ndarray):
        copy = value.copy()
        place = provider.ConsumeIntInRange(0, len(copy) - 1)
        copy[place] = provider.ConsumeIntInRange(0, 127)
        return copy
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = keys[provider.ConsumeIntInRange(0, len(keys) - 1)]
    changed = dict(value) if isinstance(value, dict) else list(value)
    if provider.ConsumeIntInRange(0, 9) == 0:
        changed.pop(key)
    else:
        changed[key] = _edited(value[key], provider)
    return changed


def _other(value: Any, provider: Any) -> Any:
    kind = provider.ConsumeIntInRange(0, 3)
    if kind == 0:
        return _VALUES[provider.ConsumeIntInRange(0, len(_VALUES) - 1)]
    if kind == 1:
        return provider.ConsumeInt(8)
    if kind == 2:
        return provider.ConsumeUnicodeNoSurrogates(20)
    return [value, value] if not isinstance(value, np.ndarray) else np.append(value, value)
