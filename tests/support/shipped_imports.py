"""What the modules of a package import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping


def expect_imports(modules: Mapping[str, str], packages: Collection[str]) -> None:
    """Fails unless modules import each other relatively, and beside them the standard library and packages alone."""
    allowed = {*sys.stdlib_module_names, *packages}
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                if node.level:
                    assert f"{node.module}.py" in modules, name
                else:
                    assert (node.module or "").split(".")[0] in allowed, (name, node.module)
            elif isinstance(node, ast.Import):
                assert {one.name.split(".")[0] for one in node.names} <= allowed, name
