"""AMD's device libraries and the linker, which code for its GPUs is linked with (imports TVM's foreign functions).

TVM looks for them in a ROCm installation of its own making only; Debian's packages rocm-device-libs and lld suffice.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import tvm_ffi

from search_spaces.errors import AutotuneError

_FOLDERS = ("/opt/rocm/amdgcn/bitcode", "/usr/lib/x86_64-linux-gnu/amdgcn/bitcode")
_LINKERS = ("ld.lld", *(f"ld.lld-{version}" for version in range(21, 13, -1)))
_LIBRARIES = ("ocml", "oclc_daz_opt_off", "oclc_finite_only_off", "oclc_unsafe_math_off")
_CHOICES = ("oclc_correctly_rounded_sqrt_on", "oclc_wavefrontsize64_on", "oclc_abi_version_400")


def use_rocm_libraries(arch: str) -> None:
    """Has TVM link code for an architecture such as gfx90a with the libraries of this machine.

    One without a library of its own, newer than the package, gets none: only mathematical functions need it.
    Raises AutotuneError where there are no libraries or no linker.
    """
    folder = next((Path(place) for place in _FOLDERS if Path(place, "ocml.bc").is_file()), None)
    linker = next((name for name in _LINKERS if shutil.which(name)), None)
    if folder is None or linker is None:
        missing = "rocm-device-libs" if folder is None else "lld"
        raise AutotuneError(
            f"expected AMD's device libraries and lld to compile for ROCm, found no {missing}; "
            f"apt-get install {missing}",
            code="AT772",
        )
    names = (*_LIBRARIES, *_CHOICES, f"oclc_isa_version_{arch.removeprefix('gfx')}")
    paths = [str(path) for name in names if (path := folder / f"{name}.bc").is_file()]
    tvm_ffi.register_global_func("tvm_callback_rocm_bitcode_path", lambda *_: paths, override=True)
    tvm_ffi.register_global_func(
        "tvm_callback_rocm_link", lambda code: _link(linker, bytes(code)), override=True
    )


def _link(linker: str, code: bytes) -> bytearray:
    with tempfile.TemporaryDirectory(prefix="autotune-rocm-") as folder:
        source, output = Path(folder, "kernel.o"), Path(folder, "kernel.co")
        source.write_bytes(code)
        command = [linker, "--no-undefined", "-shared", str(source), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{linker} could not link a kernel for ROCm: {done.stderr.strip()[-1500:]}")
        return bytearray(output.read_bytes())
