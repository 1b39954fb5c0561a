"""Modules of autotune that a package's runtime consists of, with imports of each other made relative."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

_MODULES = (
    "search_spaces.errors",
    "search_spaces.fork_lock",
    "autotune.machine.control_groups",
    "autotune.machine.cpu_features",
    "autotune.deployment.call_memory",
    "autotune.deployment.kernel_pool",
    "autotune.deployment.kernel_thread",
    "autotune.deployment.library",
    "autotune.deployment.shape_dispatch",
    "autotune.deployment.tensors",
    "autotune.deployment.virtual_machine",
    "autotune.models.dynamic_inputs",
    "autotune.models.input_spec",
    "autotune.models.shape_plan",
    "autotune.models.size_range",
    "autotune.packaging.metadata",
    "autotune.packaging.shipped.packaged_model",
    "autotune.packaging.shipped.runtime_library",
)
_IMPORT = re.compile(r"^( *)from ([\w.]+) import ", re.MULTILINE)


def shipped_modules() -> dict[str, str]:
    """The text of each module by its file name in the runtime's folder."""
    texts = {f"{_short(module)}.py": _relative(_text(module)) for module in _MODULES}
    return {"__init__.py": '"""What running a packaged model needs."""\n', **texts}


def _short(module: str) -> str:
    return module.rpartition(".")[2]


def _text(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None, module
    return Path(spec.origin).read_text("utf-8")


def _relative(text: str) -> str:
    return _IMPORT.sub(
        lambda found: f"{found[1]}from .{_short(found[2])} import " if found[2] in _MODULES else found[0],
        text,
    )
