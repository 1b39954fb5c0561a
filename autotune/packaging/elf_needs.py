"""Needs of shared libraries: the machine, the oldest glibc, and other libraries, as binutils' `readelf` lists them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import AutotuneError

#: Libraries that every Linux distribution with glibc has: those of the manylinux policies that TVM uses.
_EVERYWHERE = re.compile(
    r"(libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|ld-linux-[\w-]+|libtvm_ffi|libtvm_runtime)\.so[\d.]*"
)
# The policy that no wheel falls below.
_OLDEST_GLIBC = (2, 17)
_MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}


@dataclass(frozen=True, slots=True)
class ElfNeeds:
    """Needs of some libraries together.

    machine: as `platform.machine` says it; glibc: the oldest version that has all symbols;
    others:  libraries that not every Linux with glibc has.
    """

    machine: str
    glibc: tuple[int, int]
    others: tuple[str, ...]


def elf_needs(libraries: Sequence[Path]) -> ElfNeeds:
    """The needs of shared libraries for one machine.

    Raises AutotuneError where they are for several machines or cannot be read, or binutils is missing.
    """
    texts = [_listed(library) for library in libraries]
    machines = {found for text in texts for found in re.findall(r"Machine: +(.+)", text)}
    if len(machines) != 1:
        raise AutotuneError(
            f"expected libraries for one machine; found {', '.join(sorted(machines)) or 'none'} in "
            f"{', '.join(map(str, libraries))}. Name the runtime library for the target",
            code="AT730",
        )
    [machine] = machines
    needed = {name for text in texts for name in re.findall(r"\(NEEDED\).*\[(.+)\]", text)}
    versions = {
        (int(major), int(minor)) for text in texts for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", text)
    }
    return ElfNeeds(
        _MACHINES.get(machine, machine),
        max({*versions, _OLDEST_GLIBC}),
        tuple(sorted(name for name in needed if not _EVERYWHERE.fullmatch(name))),
    )


def _listed(library: Path) -> str:
    try:
        return subprocess.run(
            ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(library)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise AutotuneError(
            f"expected binutils' readelf to read the shared library {library}; found: {error}. Install binutils",
            code="AT730",
        ) from error
