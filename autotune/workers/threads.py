"""Environments that set how many threads a process has for kernels; the standard library alone, for boards as well."""

from __future__ import annotations


def kernel_threads(count: int) -> dict[str, str]:
    """Variables that TVM's runtime and BLAS read when they load: `count` threads for kernels, not bound to processors.

    Unless told otherwise TVM takes half of the processors, and binds two threads to one of them.
    """
    return {
        "TVM_NUM_THREADS": str(count),
        "TVM_BIND_THREADS": "0",
        "OMP_NUM_THREADS": str(count),
        "OPENBLAS_NUM_THREADS": "1",
    }


def compiler_threads() -> dict[str, str]:
    """Thread settings of a process that compiles and runs no kernel: one thread."""
    return {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
