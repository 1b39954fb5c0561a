"""The host: facts of its processor, caches and memory, and its target (imports TVM)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import psutil
from tvm.target import codegen

from autotune.devices.processor import cache_bytes, cpu_model, memory_bytes
from autotune.machine.allowance import Allowance
from search_spaces.target import Target
from tuning_logs.records.device_fingerprint import FingerprintValue


def cpu_target(threads: int) -> Target:
    """The llvm target of this machine's processor; its triple is the compiler's own, so none is given."""
    target = Target("llvm", (("num-cores", threads),))
    cpu = str(codegen.llvm_get_system_cpu())
    return target if cpu in ("", "generic") else target.with_attr("mcpu", cpu)


def cpu_facts(threads: int, allowance: Allowance) -> Mapping[str, FingerprintValue]:
    """The facts of a CPU's fingerprint; those that the system does not report are None.

    Limits of the process are facts only where they make so many threads slower than the machine would.
    """
    caches = cache_bytes()
    return {
        "cpu_model": cpu_model(),
        "isa": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": threads,
        "l1d_bytes": caches.get((1, "Data")),
        "l2_bytes": caches.get((2, "Unified")),
        "l3_bytes": caches.get((3, "Unified")),
        "memory_bytes": memory_bytes(),
        **allowance.limiting_facts(threads),
    }
