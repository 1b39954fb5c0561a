"""The description of a package's model as a C++ header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autotune.machine.cpu_features import AARCH64, X86
from autotune.packaging.metadata import TensorSpec
from autotune.packaging.package import PackageContents


def description_header(contents: PackageContents) -> str:
    """A header with the model's tensors, its threads, the processor that it needs, and the number of stored runs."""
    metadata = contents.metadata
    lines = [
        "// Written by autotune: the model of this package.",
        "#pragma once",
        '#include "packaged_model.h"',
        "",
        "namespace model_description {",
        f"constexpr int kThreads = {metadata.threads};",
        f"constexpr int kRuns = {len(contents.runs)};",
        f'constexpr const char* kMachine = "{metadata.requires.machine}";',
        *_tensors("kInputs", metadata.inputs),
        *_tensors("kOutputs", metadata.outputs),
        "// What the machine code may use: name, CPUID leaf, subleaf, register and bit, or the bit of HWCAP.",
        "inline const std::vector<CpuFeature> kCpuFeatures = {",
        *_features(metadata.requires.machine, metadata.requires.cpu_features),
        "};",
        "}  // namespace model_description",
        "",
    ]
    return "\n".join(lines)


def _tensors(name: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    yield f"inline const std::vector<TensorSpec> {name} = {{"
    for spec in specs:
        yield f'    {{"{_escaped(spec.name)}", "{spec.dtype}", {{{", ".join(map(str, spec.shape))}}}}},'
    yield "};"


def _escaped(text: str) -> str:
    """The text within a literal: whatever it is, it ends where it should."""
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(one) if chr(one).isalnum() and one < 128 else f"\\{one:03o}" for one in data)


def _features(machine: str, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if machine == "x86_64":
            one = X86[name]
            yield f'    {{"{name}", 0x{one.leaf:x}u, {one.subleaf}, {one.register}, {one.bit}}},'
        else:
            yield f'    {{"{name}", 0, 0, 0, {AARCH64[name]}}},'
