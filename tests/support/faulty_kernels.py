"""Kernels that misbehave in every way that candidates have, written in C; for tests of every kind of device."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tvm import te, tirx
from tvm.s_tir import Schedule

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from search_spaces.config import Config
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Failure, FailureKind

# A kernel as TVM calls it: arguments are 16 bytes each, a tensor is an object with a DLTensor behind a 24-byte
# header, or (type 7, as over RPC) the DLTensor itself.
KERNEL = """
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __aarch64__
#define ILLEGAL __asm__ volatile(".inst 0")
#else
#define ILLEGAL __builtin_trap()
#endif
typedef struct {{ int32_t type; int32_t padding; char* object; }} Argument;
void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message);
void not_linked_anywhere(void);
static float* data(Argument argument) {{ return *(float**)(argument.object + (argument.type == 7 ? 0 : 24)); }}
int __tvm_ffi_main(void* self, const Argument* arguments, int32_t count, Argument* result) {{
  float *x = data(arguments[0]), *y = data(arguments[1]);
  for (int i = 0; i < 16; ++i) y[i] = x[i] + 1.0f;
  {fault}
  return 0;
}}
"""

GROWTH_LIMIT_BYTES = 900 << 20

RUN_FAULTS = {
    "segfault": ("*(volatile int*)8 = 1;", FailureKind.RUN_ERROR, "SIGSEGV"),
    "illegal instruction": ("ILLEGAL;", FailureKind.RUN_ERROR, "SIGILL"),
    "abort": ('fputs("last words", stderr); abort();', FailureKind.RUN_ERROR, "SIGABRT: last words"),
    "exit": ("exit(7);", FailureKind.RUN_ERROR, "exited with status 7"),
    "quiet exit": ("_exit(0);", FailureKind.RUN_ERROR, "exited with status 0"),
    "busy hang": ("for (;;) x = (float*)(intptr_t)getppid();", FailureKind.RUN_TIMEOUT, "more than 2 s"),
    "idle hang": ("for (;;) pause();", FailureKind.RUN_TIMEOUT, "more than 2 s"),
    "stopped": ("raise(SIGSTOP);", FailureKind.RUN_TIMEOUT, "more than 2 s"),
    "deaf hang": (
        "for (int i = 3; i < 64; ++i) close(i); for (;;) pause();",
        FailureKind.RUN_TIMEOUT,
        "more than 2 s",
    ),
    "memory growth": (
        "for (;;) { memset(malloc(1 << 22), 1, 1 << 22); usleep(1000); }",
        FailureKind.OUT_OF_MEMORY,
        "MiB are its share",
    ),
    "endless flood": ('for (;;) puts("' + "flood " * 50 + '");', FailureKind.RUN_TIMEOUT, "more than 2 s"),
    "killed every time": ("kill(getpid(), SIGKILL);", FailureKind.OUT_OF_MEMORY, "SIGKILL"),
    "raised error": (
        'TVMFFIErrorSetRaisedFromCStr("ValueError", "unhappy"); return -1;',
        FailureKind.RUN_ERROR,
        "unhappy",
    ),
    "missing function": ("not_linked_anywhere();", FailureKind.RUN_ERROR, "not_linked_anywhere"),
    "wrong result": ("y[3] += 0.01f;", FailureKind.WRONG_RESULT, "1 of 16 output elements are off"),
    "nan": ("y[3] = NAN;", FailureKind.WRONG_RESULT, "NaN"),
    "unwritten": ("y[3] = 0; memcpy(y + 4, y + 20, 4);", FailureKind.WRONG_RESULT, ""),
    "write past the end": ("y[16] = 0;", FailureKind.WRONG_RESULT, "outside its buffers"),
    "write before an input": ("x[-1] = 0;", FailureKind.WRONG_RESULT, "outside its buffers"),
}


def add_one(target: Target) -> TensorIRSpace:
    """The space of the operator that the kernels pretend to be: 16 numbers, plus one."""
    x = te.placeholder((16,), name="x")
    func = te.create_prim_func([x, te.compute((16,), lambda i: x[i] + 1.0, name="y")])
    return TensorIRSpace(TuningTask(modules.workload(func, "add-one"), target))


def built(builder: LocalBuilder, space: TensorIRSpace) -> list[Artifact]:
    """The untuned program, compiled."""
    [artifact] = builder.build([space.apply(space.default)])
    assert isinstance(artifact, Artifact), artifact
    return [artifact]


def faulty(space: TensorIRSpace, directory: Path, fault: str, compiler: str = "cc") -> Artifact:
    """An artifact whose kernel adds one and then misbehaves."""
    source, library = directory / "kernel.c", directory / "kernel.so"
    source.write_text(KERNEL.format(fault=fault))
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    signature = modules.signature(modules.load(space.task.workload.module))
    return Artifact(space.task, Config((("sketch", "faulty"),)), library, 0.0, signature)


# In place of the linker: it runs inside the compile, and $PPID is the compiling process.
BUILD_FAULTS = {
    "segfault": ("kill -SEGV $PPID", FailureKind.BUILD_ERROR, "SIGSEGV"),
    "abort": ("kill -ABRT $PPID", FailureKind.BUILD_ERROR, "SIGABRT"),
    "hang": ("kill -STOP $PPID", FailureKind.BUILD_TIMEOUT, "more than 3 s"),
    "linker hang": ("sleep 1000", FailureKind.BUILD_TIMEOUT, "more than 3 s"),
    # It goes on linking other files.
    "linker error": (
        'case "$*" in *.o) echo no such luck >&2; exit 1;; esac',
        FailureKind.BUILD_ERROR,
        "no such luck",
    ),
    "memory growth": (
        "exec yes $(head -c 4000 /dev/zero | tr '\\0' x)",
        FailureKind.OUT_OF_MEMORY,
        "are its share",
    ),
    "killed every time": ("kill -KILL $PPID", FailureKind.OUT_OF_MEMORY, "SIGKILL"),
}


def check_build_fault(name: str, space: TensorIRSpace, directory: Path, compiler: str) -> None:
    """Provokes a fault of BUILD_FAULTS, and builds the next candidate with the same builder."""
    fault, kind, said = BUILD_FAULTS[name]
    wanted, linker = directory / "wanted", directory / "linker"
    linker.write_text(f'#!/bin/sh\nif [ -e {wanted} ]; then\n{fault}\nfi\nexec {compiler} "$@"\n')
    linker.chmod(0o755)
    # Growing takes a second, and several on a busy machine.
    secs = 3.0 if kind is FailureKind.BUILD_TIMEOUT else 30.0
    with LocalBuilder(1, secs, GROWTH_LIMIT_BYTES, str(linker)) as builder:
        scratch = built(builder, space)[0].library.parent
        wanted.touch()
        [failure] = builder.build([space.apply(space.default)])
        assert isinstance(failure, Failure), failure
        assert failure.kind is kind, failure
        assert said in failure.message
        assert failure.build_secs > 0
        wanted.unlink()
        built(builder, space)
        assert len(list(scratch.iterdir())) == 2


def unselectable(space: TensorIRSpace) -> Candidate:
    """A candidate with an instruction of another processor, at which LLVM ends the process."""
    x = te.placeholder((16,), name="x")
    y = te.compute((16,), lambda i: tirx.call_llvm_pure_intrin("float32", "llvm.amdgcn.rcp", x[i]), name="y")
    schedule = Schedule(modules.normalize(te.create_prim_func([x, y])))
    return Candidate(space.task, Config((("sketch", "unselectable"),)), schedule)
