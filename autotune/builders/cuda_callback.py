"""The CUDA compiler that TVM calls for whole models, where a driver is there (imports TVM).

TVM's own way needs a package more than what candidates are compiled by, and passes other options than those that they
were measured with.
"""

from __future__ import annotations

import tvm
import tvm.support.nvcc
import tvm_ffi

from autotune.builders.cuda_compiler import find_cuda_compiler
from search_spaces.errors import AutotuneError

_CALLBACK = "tvm_callback_cuda_compile"


def use_cuda_compiler() -> None:
    """Has this process compile models that it builds, and those that it loads as source, as candidates are compiled."""
    tvm_ffi.register_global_func(_CALLBACK, machine_code, override=True)


def machine_code(source: str) -> bytes:
    """The machine code of a source for TVM's present target, else for the first GPU. Raises AutotuneError."""
    target = tvm.target.Target.current(allow_none=True)
    arch = str(target.attrs.get("arch", "")) if target is not None else ""
    try:
        return find_cuda_compiler().compile(source, arch or _first_gpu()).cubin
    except RuntimeError as error:
        raise AutotuneError(
            f"expected a compiler that makes machine code for NVIDIA GPUs; {error}", code="AT716"
        ) from error


def _first_gpu() -> str:
    """The architecture of the first GPU, as in sm_90."""
    return f"sm_{str(tvm.cuda(0).compute_version).replace('.', '')}"
