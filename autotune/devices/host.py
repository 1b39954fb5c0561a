"""The host: facts of its processor, caches and memory, and targets that run on it (imports TVM)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import psutil
from tvm.target import codegen

from autotune.devices.processor import cache_bytes, cpu_model, memory_bytes
from autotune.machine.allowance import Allowance
from autotune.machine.cpu_features import known_features, missing_features
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_features import cpu_features
from search_spaces.tensor_ir.modules import tvm_target
from tuning_logs.records.device_fingerprint import FingerprintValue


def cpu_target(threads: int) -> Target:
    """The llvm target of this machine's processor; its triple is the compiler's own, so none is given."""
    target = Target("llvm", (("num-cores", threads),))
    cpu = str(codegen.llvm_get_system_cpu())
    return target if cpu in ("", "generic") else target.with_attr("mcpu", cpu)


def check_runnable(target: Target) -> None:
    """Raises Misuse where this machine cannot run machine code for the processor that an llvm target names."""
    name, machine = str(target.attr("mcpu")), platform.machine()
    if name not in map(str, codegen.llvm_get_cpu_archlist(tvm_target(target))):
        raise Misuse(
            f"expected a processor of this architecture by LLVM's name, as in haswell or x86-64-v3; found {name!r}",
            code="AT401",
        )
    missing = missing_features(machine, sorted(known_features(machine) & cpu_features(target)))
    if missing:
        raise Misuse(
            f"expected a processor whose instructions this one has, too; found {name!r}, and this one lacks "
            f"{', '.join(missing)}",
            code="AT401",
        )


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
