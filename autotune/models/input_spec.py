"""An input of a model: name, shape and dtype."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input of a model: its name in the file, its shape, and its dtype in numpy's words."""

    name: str
    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}:{','.join(map(str, self.shape))} {self.dtype}"
