"""Docstrings as Markdown for the documentation site: an extension of Griffe, which mkdocs.yml names."""

from __future__ import annotations

import re
from typing import Any

import griffe

_FIELD = re.compile(r"^(\w+): +(?=\S)")
_PROMPT = re.compile(r"^(>>>|\.\.\.)( |$)")


class DocstringFields(griffe.Extension):
    """Lines that begin with "name: " become a list, and interactive sessions become code blocks."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of each module, class, function and attribute once it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """The docstring with its fields as a list and its sessions fenced; anything else is Markdown already."""
    paragraphs = re.split(r"\n[ \t]*\n", text)
    return "\n\n".join(_paragraph(paragraph.split("\n")) for paragraph in paragraphs)


def _paragraph(lines: list[str]) -> str:
    if _PROMPT.match(lines[0]):
        return "\n".join(["```pycon", *lines, "```"])
    found: list[str] = []
    for line in lines:
        if _FIELD.match(line):
            is_first = not any(one.startswith("- ") for one in found)
            found += ([""] if is_first and found else []) + [_FIELD.sub(r"- `\1`: ", line)]
        elif found and line.startswith(" ") and any(one.startswith("- ") for one in found):
            found.append("    " + line.strip())
        else:
            found.append(line)
    return "\n".join(found)
