"""Compilers of CUDA C++ to machine code: nvcc, or NVIDIA's runtime compiler where there is no CUDA toolkit."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tuning_logs.records.gpu_resources import GpuResources

_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_SPILLS = re.compile(r"(\d+) bytes spill (?:stores|loads)")
#: What holds the compiler and the headers that TVM's code includes: what `pip install autotune[cuda]` brings, in a
#: folder each, or CUDA 13's packages, as PyTorch needs them, in one.
_CUDA_13 = "cu13"
_PACKAGES = ("cuda_nvrtc", "cuda_cccl", "cuda_runtime", "cuda_nvcc", _CUDA_13)
# Where toolkits are installed by default, which is on nobody's PATH by itself.
_TOOLKIT = "/usr/local/cuda/bin"
_WORDS = 1500


@dataclass(frozen=True, slots=True)
class MachineCode:
    """A cubin, and the resources that ptxas reports for it."""

    cubin: bytes
    resources: GpuResources


class CudaCompiler(Protocol):
    """Compiles to machine code. Raises RuntimeError with the compiler's output where it cannot."""

    def compile(self, source: str, arch: str) -> MachineCode:
        """The machine code of a source for an architecture such as sm_80."""
        ...


@cache
def find_cuda_compiler() -> CudaCompiler:
    """nvcc where it is on the PATH or in the toolkit's usual folder, else NVRTC from PyPI's packages.

    Raises RuntimeError where there is neither.
    """
    path = shutil.which("nvcc") or shutil.which("nvcc", path=_TOOLKIT)
    return Nvcc(path) if path else Nvrtc()


@dataclass(frozen=True, slots=True)
class Nvcc:
    """The compiler of the CUDA toolkit, by its path."""

    path: str

    def compile(self, source: str, arch: str) -> MachineCode:
        """See `CudaCompiler`."""
        with tempfile.TemporaryDirectory(prefix="autotune-nvcc-") as folder:
            code, cubin = Path(folder, "kernel.cu"), Path(folder, "kernel.cubin")
            code.write_text(source)
            command = [self.path, "-cubin", f"-arch={arch}", "-O3", "-w", "--resource-usage"]
            done = subprocess.run(
                [*command, "-o", str(cubin), str(code)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0 or not cubin.exists() or not cubin.stat().st_size:
                raise RuntimeError(f"nvcc made no machine code for {arch}: {done.stderr.strip()[-_WORDS:]}")
            return MachineCode(cubin.read_bytes(), _resources(done.stderr))


class Nvrtc:
    """NVIDIA's runtime compiler, from the wheels that need neither toolkit nor driver.

    Raises RuntimeError where the packages are not installed.
    """

    def __init__(self) -> None:
        folders = [folder for name in _PACKAGES if (folder := _package(name)) is not None]
        libraries = [library for folder in folders for library in sorted(folder.glob("lib/libnvrtc.so.*"))]
        if not libraries:
            raise RuntimeError(
                "no nvcc on the PATH and no NVRTC, one of which compiles for NVIDIA GPUs; install the CUDA toolkit, "
                "or pip install 'autotune[cuda]'"
            )
        self._library = ctypes.CDLL(str(libraries[0]))
        own = libraries[0].parent.parent
        # Headers of the other version would not fit.
        places = [own] if own.name == _CUDA_13 else [folder for folder in folders if folder.name != _CUDA_13]
        includes = [place / "include" / part for place in places for part in (".", "cccl")]
        self._includes = [f"-I{include.resolve()}" for include in includes if include.is_dir()]

    def compile(self, source: str, arch: str) -> MachineCode:
        """See `CudaCompiler`."""
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        try:
            options = [f"--gpu-architecture={arch}", "-default-device", "--ptxas-options=-v", *self._includes]
            values = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            status = self._library.nvrtcCompileProgram(program, len(options), values)
            report = self._text(program, "ProgramLog").decode(errors="replace").rstrip("\0\n")
            cubin = b"" if status else self._text(program, "CUBIN")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))
        if not cubin:
            raise RuntimeError(f"NVRTC made no machine code for {arch}: {report.strip()[-_WORDS:]}")
        return MachineCode(cubin, _resources(report))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, text)
        return text.raw

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} failed with status {status}")


def _package(name: str) -> Path | None:
    try:
        found = find_spec(f"nvidia.{name}")
    except ModuleNotFoundError:
        return None
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def _resources(report: str) -> GpuResources:
    """The resources that ptxas reports: the largest of all kernels."""
    return GpuResources(
        max(map(int, _REGISTERS.findall(report)), default=0),
        max(map(int, _SPILLS.findall(report)), default=0),
        max(map(int, _SHARED.findall(report)), default=0),
    )
