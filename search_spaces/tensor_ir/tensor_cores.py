"""Limits of the GPUs of NVIDIA whose tensor cores are used, by compute capability (imports TVM)."""

from __future__ import annotations

import tvm

#: Ampere, the first with mma.sync.m16n8k16, and with asynchronous copies to shared memory.
_LEAST_CAPABILITY = 80
# Bytes of shared memory that a launch may ask for; TVM's tags know the 48 KiB before that. CUDA C++ Programming Guide,
# "Technical Specifications per Compute Capability": maximum amount of shared memory per thread block.
_SHARED_BYTES = {
    80: 166912,
    86: 101376,
    87: 166912,
    89: 101376,
    90: 232448,
    100: 232448,
    103: 232448,
    120: 101376,
}


def has_tensor_cores(target: tvm.target.Target) -> bool:
    """Whether there are sketches for the tensor cores of a target."""
    return compute_capability(target) >= _LEAST_CAPABILITY


def shared_memory_bytes(target: tvm.target.Target) -> int:
    """The most shared memory of a block of threads."""
    known = _SHARED_BYTES.get(compute_capability(target), 0)
    return max(known, int(target.attrs["max_shared_memory_per_block"]))


def compute_capability(target: tvm.target.Target) -> int:
    """80 of sm_80, 90 of sm_90a; 0 for what is no GPU of NVIDIA."""
    if str(target.kind.name) != "cuda":
        return 0
    digits = "".join(one for one in str(target.attrs.get("arch", "")) if one.isdigit())
    return int(digits or 0)
