"""Contents of a package that are made up: no build, no machine code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autotune.packaging.metadata import Metadata, OperatorCoverage, Provenance, Requirements, TensorSpec
from autotune.packaging.package import PackageContents, StoredRun


def made_contents(folder: Path, inputs: tuple[str, ...] = ("x",)) -> PackageContents:
    """Contents whose libraries are files of text."""
    files = [folder / name for name in ("model.so", "libtvm_runtime.so", "libtvm_ffi.so")]
    for path in files:
        path.write_text(f"made up: {path.name}")
    specs = tuple(TensorSpec(name=name, shape=(1, 3), dtype="float32") for name in inputs)
    metadata = Metadata(
        module="made",
        version="1.0+b0123",
        inputs=specs,
        outputs=(TensorSpec(name="y", shape=(3,), dtype="float32"),),
        threads=2,
        requires=Requirements(
            machine="x86_64",
            cpu_features=("avx2",),
            glibc=(2, 27),
            libraries=(),
            tvm="0.27.0",
            tvm_ffi="0.1.14",
        ),
        provenance=Provenance(
            model="made.onnx",
            model_sha256="0" * 64,
            library_sha256="1" * 64,
            log=None,
            device="a processor",
            target="llvm -mcpu=haswell",
            autotune="0.2.0",
            latency_secs=0.001,
        ),
        missed_share=1.0,
        coverage=(
            OperatorCoverage(
                name="conv", calls=1, status="default schedule", reason="", share=1.0, tuned_secs=None
            ),
        ),
    )
    ones = np.ones((1, 3), np.float32)
    run = StoredRun(tuple(ones for _ in inputs), (ones[0],))
    return PackageContents(metadata, *files, runs=(run,))
