"""The compiler driver that links kernels to shared libraries, and faults of its own rather than of a kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from search_spaces.errors import AutotuneError

_FAULT = "could not link the kernel"
_PROBE_SECS = 60.0


def link(linker: str, code: Path, library: Path) -> None:
    """Makes a shared library of an object file. Raises RuntimeError with what the linker says."""
    try:
        linked = _run([linker, "-shared", "-o", str(library), str(code)])
    except OSError as error:
        raise RuntimeError(f"{linker} {_FAULT}: {error}") from error
    if linked.returncode != 0:
        raise RuntimeError(f"{linker} {_FAULT}: {linked.stderr.strip()}")


def require_linker(linker: str) -> None:
    """Raises AutotuneError where there is no such program."""
    if shutil.which(linker) is None:
        raise AutotuneError(
            f"expected a C compiler to link kernels with, found no {linker!r} on the PATH; "
            "install gcc or clang, or name the linker",
            code="AT701",
        )


def check_link_fault(message: str, linker: str, scratch: Path) -> None:
    """Raises AutotuneError where a build failed for a linker that is gone, or links nothing at all.

    message: of the failure; scratch: a folder to try the linker in.
    """
    if _FAULT not in message:
        return
    require_linker(linker)
    probe = scratch / "probe.so"
    try:
        tried = _run([linker, "-shared", "-o", str(probe), "-x", "c", os.devnull], _PROBE_SECS)
        found = None if tried.returncode == 0 else tried.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        found = str(error)
    finally:
        probe.unlink(missing_ok=True)
    if found is not None:
        raise AutotuneError(
            f"expected {linker} to link kernels, found that it does not even link an empty file: {found}; "
            "repair the compiler, and start again to go on",
            code="AT808",
        )


def _run(command: list[str], timeout_secs: float | None = None) -> subprocess.CompletedProcess[str]:
    # Messages are looked through for a full disk, in English.
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
        timeout=timeout_secs,
    )
