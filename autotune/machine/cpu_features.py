"""Instruction sets of this machine's processor, asked for before machine code is loaded that needs them."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CpuidBit:
    """A bit of an x86 processor's CPUID answer, and Linux's name for it.

    leaf, subleaf: what CPUID is asked; register: 0 to 3 for EAX to EDX.
    """

    leaf: int
    subleaf: int
    register: int
    bit: int
    flag: str


#: By LLVM's names: what compilers emit of their own accord.
X86 = {
    "sse3": CpuidBit(1, 0, 2, 0, "pni"),
    "pclmul": CpuidBit(1, 0, 2, 1, "pclmulqdq"),
    "ssse3": CpuidBit(1, 0, 2, 9, "ssse3"),
    "fma": CpuidBit(1, 0, 2, 12, "fma"),
    "cx16": CpuidBit(1, 0, 2, 13, "cx16"),
    "sse4.1": CpuidBit(1, 0, 2, 19, "sse4_1"),
    "sse4.2": CpuidBit(1, 0, 2, 20, "sse4_2"),
    "movbe": CpuidBit(1, 0, 2, 22, "movbe"),
    "popcnt": CpuidBit(1, 0, 2, 23, "popcnt"),
    "avx": CpuidBit(1, 0, 2, 28, "avx"),
    "f16c": CpuidBit(1, 0, 2, 29, "f16c"),
    "bmi": CpuidBit(7, 0, 1, 3, "bmi1"),
    "avx2": CpuidBit(7, 0, 1, 5, "avx2"),
    "bmi2": CpuidBit(7, 0, 1, 8, "bmi2"),
    "avx512f": CpuidBit(7, 0, 1, 16, "avx512f"),
    "avx512dq": CpuidBit(7, 0, 1, 17, "avx512dq"),
    "avx512ifma": CpuidBit(7, 0, 1, 21, "avx512ifma"),
    "avx512cd": CpuidBit(7, 0, 1, 28, "avx512cd"),
    "avx512bw": CpuidBit(7, 0, 1, 30, "avx512bw"),
    "avx512vl": CpuidBit(7, 0, 1, 31, "avx512vl"),
    "avx512vbmi": CpuidBit(7, 0, 2, 1, "avx512vbmi"),
    "avx512vbmi2": CpuidBit(7, 0, 2, 6, "avx512_vbmi2"),
    "gfni": CpuidBit(7, 0, 2, 8, "gfni"),
    "vaes": CpuidBit(7, 0, 2, 9, "vaes"),
    "vpclmulqdq": CpuidBit(7, 0, 2, 10, "vpclmulqdq"),
    "avx512vnni": CpuidBit(7, 0, 2, 11, "avx512_vnni"),
    "avx512bitalg": CpuidBit(7, 0, 2, 12, "avx512_bitalg"),
    "avx512vpopcntdq": CpuidBit(7, 0, 2, 14, "avx512_vpopcntdq"),
    "avx512fp16": CpuidBit(7, 0, 3, 23, "avx512_fp16"),
    "avxvnni": CpuidBit(7, 1, 0, 4, "avx_vnni"),
    "avx512bf16": CpuidBit(7, 1, 0, 5, "avx512_bf16"),
    "avxifma": CpuidBit(7, 1, 0, 23, "avx_ifma"),
    "avxvnniint8": CpuidBit(7, 1, 3, 4, "avx_vnni_int8"),
    "avxneconvert": CpuidBit(7, 1, 3, 5, "avx_ne_convert"),
    "avxvnniint16": CpuidBit(7, 1, 3, 10, "avx_vnni_int16"),
    "xop": CpuidBit(0x80000001, 0, 2, 11, "xop"),
    "fma4": CpuidBit(0x80000001, 0, 2, 16, "fma4"),
    "lzcnt": CpuidBit(0x80000001, 0, 2, 5, "abm"),
}
#: Bits of the auxiliary vector's HWCAP, and of HWCAP2 from 64 on, by LLVM's names.
AARCH64 = {
    "neon": 1,
    "crc": 7,
    "lse": 8,
    "fullfp16": 10,
    "rdm": 12,
    "jsconv": 13,
    "complxnum": 14,
    "rcpc": 15,
    "dotprod": 20,
    "sve": 22,
    "fp16fml": 23,
    "sve2": 65,
    "i8mm": 77,
    "bf16": 78,
}
# glibc's numbers of leaves, <sys/platform/x86.h>.
_GLIBC_LEAVES = {(1, 0): 0, (7, 0): 1, (0x80000001, 0): 2, (7, 1): 6}
# These say whether the system saves the registers; the others of their kind do not.
_SAVED = ("avx", "avx2", "avx512f")
_AT_HWCAP, _AT_HWCAP2 = 16, 26


class _Leaf(ctypes.Structure):
    """glibc's `struct cpuid_feature`: what the processor has, and what the system lets programs use of it."""

    _fields_ = (("cpuid", ctypes.c_uint * 4), ("active", ctypes.c_uint * 4))


def known_features(machine: str) -> frozenset[str]:
    """The features of a machine, as in "x86_64", that can be asked for."""
    if machine == "x86_64":
        return frozenset(X86)
    return frozenset(AARCH64) if machine == "aarch64" else frozenset()


def missing_features(machine: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The features that this processor has not, in order.

    machine: that the machine code is for; wanted: LLVM's names; a feature that cannot be asked for counts as missing.
    """
    if machine == "x86_64":
        has = _x86_by_glibc() or _x86_by_kernel()
    elif machine == "aarch64":
        has = _aarch64
    else:
        return tuple(wanted)
    return tuple(name for name in wanted if not has(name))


def is_this_machine(machine: str) -> bool:
    """Whether this process runs on such a machine, emulated or not."""
    return platform.machine() == machine


def _x86_by_glibc() -> Callable[[str], bool] | None:
    """By glibc 2.33 and newer, which is right under emulators as well; None elsewhere."""
    ask = getattr(ctypes.CDLL(None), "__x86_get_cpuid_feature_leaf", None)
    if ask is None:
        return None
    ask.restype, ask.argtypes = ctypes.POINTER(_Leaf), [ctypes.c_uint]

    def has(name: str) -> bool:
        one = X86.get(name)
        if one is None:
            return False
        leaf = ask(_GLIBC_LEAVES[one.leaf, one.subleaf]).contents
        return bool((leaf.active if name in _SAVED else leaf.cpuid)[one.register] >> one.bit & 1)

    return has


def _x86_by_kernel() -> Callable[[str], bool]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return lambda name: name in X86 and X86[name].flag in flags


def _aarch64(name: str) -> bool:
    ask = ctypes.CDLL(None).getauxval
    ask.restype, ask.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
    place = AARCH64.get(name)
    if place is None:
        return False
    return bool(ask(_AT_HWCAP if place < 64 else _AT_HWCAP2) >> place % 64 & 1)
