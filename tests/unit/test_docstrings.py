"""The docstring rule: every public name has one, which opens with a noun phrase or a verb, not with a riddle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("autotune", "benchmarks", "cost_models", "search_spaces", "tuning_logs")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

#: Openings that do not name the thing: a relative clause, a pronoun, or a comparison without its subject.
RIDDLE = re.compile(
    r"(What|Whoever|Whatever|Whom|Whose|Who|Which|Nobody|Nothing|Everything|Everybody|Something|Somebody|How|Where|When|"
    r"Here|There|All that|Those|One who|The same|As many|So|Else|It|They)\b"
)
#: Predicates may say what they answer.
PREDICATE = re.compile(r"Whether\b")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """The public classes and functions of a module, methods included."""
    for node in tree.body:
        # A law of `autotune.testing` is named by a sentence.
        if isinstance(node, Definition) and not node.name.startswith(("_", "test_")):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def problems(path: Path) -> list[str]:
    """A line for every docstring of a module that is missing or is a riddle."""
    tree = ast.parse(path.read_text("utf-8"))
    found = []
    for node in (tree, *public(tree)):
        if ast.get_docstring(node) is None:
            found.append(f"{getattr(node, 'name', 'the module')} has no docstring")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition):
            text = ast.get_docstring(node) or ""
            line = getattr(node, "lineno", 1)
            returns = getattr(node, "returns", None)
            is_predicate = returns is not None and ast.unparse(returns) == "bool"
            if RIDDLE.match(text) or (PREDICATE.match(text) and not is_predicate):
                found.append(f"line {line}: {text.splitlines()[0]}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_is_said_in_the_fields_terms(path: Path) -> None:
    assert problems(path) == []
