"""The pair of TVM packages that this project is known to work with, checked before TVM is loaded."""

from __future__ import annotations

from importlib import metadata

from search_spaces.errors import AutotuneError

#: With apache-tvm-ffi 0.1.15 every `save_json` of a module crashes the process, and pip picks it when unpinned.
PINS = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"}


def check_tvm_version() -> None:
    """Raises AutotuneError where another pair is installed, with the command that mends it."""
    found = {name: _version(name) for name in PINS}
    if found != PINS:
        expected = " ".join(f"{name}=={version}" for name, version in PINS.items())
        have = ", ".join(f"{name} {version}" for name, version in found.items())
        raise AutotuneError(f"expected {expected}; found {have}. Run: pip install {expected}", code="AT801")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"
