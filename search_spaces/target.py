"""A compilation target as a plain value; reading, comparing and writing it need no compiler."""

from __future__ import annotations

import re
from dataclasses import dataclass

from search_spaces.errors import Misuse

AttrValue = int | str | tuple[str, ...]

_ATTR = re.compile(r"^-{1,2}([A-Za-z][\w.-]*)=(.+)$")
_GPU_KINDS = ("cuda", "metal", "opencl", "rocm", "vulkan", "webgpu")
_GPU_TAGS = ("nvidia/", "qcom/adreno", "apple/m1-gpu", "apple/m2-gpu")
_KIND = re.compile(r"^[a-z][\w/-]*$")


@dataclass(frozen=True, slots=True)
class Target:
    """A compilation target: a TVM target kind (or tag) and its attributes, sorted by name.

    >>> Target.parse("llvm -mcpu=znver4 -num-cores=2").attr("num-cores")
    2
    """

    kind: str
    attrs: tuple[tuple[str, AttrValue], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", tuple(sorted(self.attrs)))

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads ``kind -name=value …``; integers become ints, ``a,b`` becomes a tuple (as for ``-mattr``).

        Raises Misuse where a part is not of that form.
        """
        kind, *parts = text.split() or [""]
        if not _KIND.match(kind):
            raise Misuse(
                f"a target starts with its kind, as in 'llvm -mcpu=znver4 -num-cores=2'; found {text!r}",
                code="AT411",
            )
        attrs: list[tuple[str, AttrValue]] = []
        for part in parts:
            match = _ATTR.match(part)
            if not match:
                raise Misuse(
                    f"a target's attribute looks like -name=value; found {part!r} in {text!r}", code="AT411"
                )
            attrs.append((match[1], _value(match[2])))
        return cls(kind, tuple(attrs))

    def attr(self, name: str) -> AttrValue | None:
        """The value of one attribute, or None where the target does not have it."""
        return dict(self.attrs).get(name)

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU, by its kind or by TVM's tag for it; OpenCL on a processor counts as one."""
        return self.kind in _GPU_KINDS or self.kind.startswith(_GPU_TAGS)

    def with_attr(self, name: str, value: AttrValue) -> Target:
        """A copy of the target with one attribute set."""
        return Target(self.kind, tuple({**dict(self.attrs), name: value}.items()))

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"-{name}={_text(value)}" for name, value in self.attrs)])


def _value(text: str) -> AttrValue:
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return tuple(text.split(",")) if "," in text else text


def _text(value: AttrValue) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
