"""An NVIDIA GPU played by this machine's processor, for tests of what runs on one: TVM's CUDA runtime is the real one.

The driver and its runtime library below it are emulated, and so is the compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_GPU = "nvidia/nvidia-a100"
_SOURCES = Path(__file__).parent / "cuda_emulator"
_LIBRARIES = {"libcuda.so.1": "driver.c", "libcudart.so.13": "runtime.c"}


def emulated_gpu(folder: Path) -> dict[str, str]:
    """Builds driver and compiler in the folder; the environment of processes that shall see the GPU."""
    versions = folder / "versions"
    versions.write_text("libcudart.so.13 { global: *; };\n")
    for name, source in _LIBRARIES.items():
        options = [f"-Wl,--version-script={versions}"] if "cudart" in name else []
        build = ["cc", "-O1", "-shared", "-fPIC", str(_SOURCES / source), f"-Wl,-soname,{name}", *options]
        subprocess.run([*build, "-o", str(folder / name)], check=True)
    compiler = folder / "nvcc"
    compiler.write_text(f'#!/bin/sh\nexec {sys.executable} {_SOURCES / "nvcc.py"} "$@"\n')
    compiler.chmod(0o755)
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(path for path in paths if path),
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
    }


def check_on_emulated_gpu(tests: str, named: str, count: int, folder: Path) -> None:
    """Runs the tests of a file with this in their names, `count` of them, where TVM finds the emulated GPU."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", tests, "-k", named],
        env={**emulated_gpu(folder), "AUTOTUNE_TEST_GPU": _GPU},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{count} passed" in done.stdout
