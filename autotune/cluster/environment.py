"""Versions of what compiles and measures, and the refusal of workers whose versions differ."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata

from tuning_logs.format.line import SCHEMA

_ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions of a process: those that decide what a candidate is compiled to, and what is written of it.

    python: without its patch level; schema: of the log's lines.
    """

    python: str
    autotune: str
    tvm: str
    ffi: str
    schema: str

    def refusal(self, worker: Environment) -> str | None:
        """A sentence that says what to install where a worker's versions differ from these; None where none does."""
        theirs = asdict(worker)
        unlike = [name for name, version in asdict(self).items() if theirs[name] != version]
        if not unlike:
            return None
        found = ", ".join(f"{_NAMES[name]} {theirs[name]}" for name in unlike)
        wanted = ", ".join(f"{_NAMES[name]} {getattr(self, name)}" for name in unlike)
        return f"expected {wanted}, found {found}; {self._remedy(unlike)}"

    def _remedy(self, unlike: list[str]) -> str:
        if "python" in unlike:
            return f"run Python {self.python} there, with pip install autotune[cluster]=={self.autotune}"
        pinned = [f"{_PACKAGES[name]}=={getattr(self, name)}" for name in unlike if name in _PACKAGES]
        # The schema comes with the package: where it alone differs, one of the two is a checkout.
        return f"install there: pip install {' '.join(pinned or [f'autotune[cluster]=={self.autotune}'])}"


_NAMES = {
    "python": "Python",
    "autotune": "autotune",
    "tvm": "TVM",
    "ffi": "TVM's ffi",
    "schema": "log schema",
}
_PACKAGES = {"autotune": "autotune[cluster]", "tvm": "apache-tvm", "ffi": "apache-tvm-ffi"}


def this_environment() -> Environment:
    """The versions of this process, read from its packages."""
    return Environment(
        ".".join(platform.python_version_tuple()[:2]),
        _version("autotune"),
        _version("apache-tvm"),
        _version("apache-tvm-ffi"),
        SCHEMA,
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _ABSENT
