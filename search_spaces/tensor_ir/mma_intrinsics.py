"""Tensor intrinsics for the tensor cores of NVIDIA's GPUs: ldmatrix, mma.sync, and what surrounds them (imports TVM).

TVM has such intrinsics, whose import parses those of all back ends for 20 s. These are other ones: an operand's
fragments lie in a buffer of scope "local" by rows and columns, as in the operator itself, so that a description is the
plain operation on a tile. Each thread of a warp holds 8 elements of a fragment of 256: the implementations keep them
where the tile's first row begins. All other elements are never touched, and the CUDA compiler drops them, as loops over
fragments are unrolled. Fragments are laid out as PTX ISA says for mma.m16n8k16 and ldmatrix.
"""

from __future__ import annotations

from functools import cache

import tvm
from tvm.s_tir import TensorIntrin
from tvm.script import from_source
from tvm.script import tirx as script

#: Rows and columns of a tile of results, and the steps of a sum, of one intrinsic.
TILE = 16
#: The start of all names: no other intrinsic may be named in a stored trace.
PREFIX = "autotune_mma_"
#: The dtypes of operands, as PTX names them.
OPERANDS = {"float16": "fp16", "bfloat16": "bf16"}
_SUM = "float32"
# The address of the row that a lane hands to ldmatrix, of four 8 x 8 matrices: two below each other, then those to the
# right; and the other way around.
_DOWN_FIRST = "s0 * (lane % 16) + 8 * (lane // 16)"
_RIGHT_FIRST = "s0 * 8 * (lane // 16) + s0 * (lane % 8) + 8 * (lane % 16 // 8)"


def load_name(dtype: str, *, is_left: bool, is_transposed: bool) -> str:
    """The intrinsic that loads a fragment from shared memory; is_transposed: as in `MatrixProduct`."""
    return f"{PREFIX}load_{dtype}_{'left' if is_left else 'right'}{'_transposed' if is_transposed else ''}"


def multiply_name(dtype: str, *, left_transposed: bool, right_transposed: bool) -> str:
    """The intrinsic that adds the product of two fragments to a third."""
    return f"{PREFIX}multiply_{dtype}_{'t' if left_transposed else 'n'}{'t' if right_transposed else 'n'}"


FILL = f"{PREFIX}fill"
STORE = f"{PREFIX}store"


@cache
def register_mma_intrinsics() -> None:
    """Makes the intrinsics known to TVM, once in a process (0.4 s)."""
    copied = {"dtype": _SUM, "source": "local", "destination": "shared.dyn"}
    _register(STORE, _COPY, _STORE, copied)
    _register(FILL, _FILL_DESCRIPTION, _FILL, {})
    for dtype in OPERANDS:
        _register_loads(dtype)
        for left in (False, True):
            for right in (False, True):
                _register(
                    multiply_name(dtype, left_transposed=left, right_transposed=right),
                    _MULTIPLY_DESCRIPTION,
                    _MULTIPLY,
                    {
                        "dtype": dtype,
                        "ptx_dtype": OPERANDS[dtype],
                        "left": "vk, vi" if left else "vi, vk",
                        "right": "vj, vk" if right else "vk, vj",
                    },
                )


def code_generation(target: tvm.target.Target) -> tvm.transform.PassContext:
    """The context to generate code for a target in: on GPUs of NVIDIA with asynchronous copies to shared memory."""
    is_cuda = str(target.kind.name) == "cuda"
    return tvm.transform.PassContext(config={"tirx.use_async_copy": True} if is_cuda else {})


def _register_loads(dtype: str) -> None:
    copied = {"dtype": dtype, "source": "shared.dyn", "destination": "local"}
    for is_left in (True, False):
        for is_transposed in (True, False):
            _register(
                load_name(dtype, is_left=is_left, is_transposed=is_transposed),
                _COPY,
                _LOAD,
                {
                    **copied,
                    # mma takes the left operand by rows and the right one by columns.
                    "transposes": str(is_transposed if is_left else not is_transposed),
                    "address": _RIGHT_FIRST if is_transposed else _DOWN_FIRST,
                },
            )


def _register(name: str, description: str, implementation: str, values: dict[str, str]) -> None:
    texts = [text.strip() for text in (description, implementation)]
    for key, value in values.items():
        texts = [text.replace(f"@{key}@", value) for text in texts]
    parsed = [from_source(text, extra_vars={"T": script}) for text in texts]
    TensorIntrin.register(name, *parsed, override=True)


_MOVED = """
@T.prim_func(s_tir=True)
def move(source: T.handle, destination: T.handle) -> None:
    s0 = T.int32()
    s1 = T.int32()
    d0 = T.int32()
    d1 = T.int32()
    S = T.match_buffer(source, (16, 16), "@dtype@", align=64, offset_factor=8, scope="@source@", strides=[s0, s1])
    D = T.match_buffer(
        destination, (16, 16), "@dtype@", align=64, offset_factor=8, scope="@destination@", strides=[d0, d1]
    )
    with T.sblock("root"):
        T.reads(S[0:16, 0:16])
        T.writes(D[0:16, 0:16])
"""

_COPY = (
    _MOVED
    + """\
        for i, j in T.grid(16, 16):
            with T.sblock("copy"):
                vi, vj = T.axis.remap("SS", [i, j])
                D[vi, vj] = S[vi, vj]
"""
)

_LOAD = (
    _MOVED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            T.evaluate(
                T.ptx_legacy.ldmatrix(
                    @transposes@, 4, ".b16", D.data, D.elem_offset, S.access_ptr("r"), @address@, dtype="@dtype@"
                )
            )
"""
)

_STORE = (
    _MOVED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            # The sums may lie where other warps still read operands: TVM merges memory after it adds barriers.
            if S.elem_offset == 0:
                T.evaluate(T.tvm_storage_sync("shared"))
            for part in T.unroll(4):
                for place in T.unroll(2):
                    D[lane // 4 + part % 2 * 8, part // 2 * 8 + lane % 4 * 2 + place] = S[0, part * 2 + place]
"""
)

_FILLED = """
@T.prim_func(s_tir=True)
def fill(sums: T.handle) -> None:
    c0 = T.int32()
    c1 = T.int32()
    C = T.match_buffer(sums, (16, 16), "float32", align=64, offset_factor=8, scope="local", strides=[c0, c1])
    with T.sblock("root"):
        T.reads()
        T.writes(C[0:16, 0:16])
"""

_FILL_DESCRIPTION = (
    _FILLED
    + """\
        for i, j in T.grid(16, 16):
            with T.sblock("fill"):
                vi, vj = T.axis.remap("SS", [i, j])
                C[vi, vj] = T.float32(0)
"""
)

_FILL = (
    _FILLED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            T.evaluate(T.cuda.mma_fill_legacy(8, C.data, C.elem_offset, dtype="float32"))
"""
)

_MULTIPLIED = """
@T.prim_func(s_tir=True)
def multiply(left: T.handle, right: T.handle, sums: T.handle) -> None:
    a0 = T.int32()
    a1 = T.int32()
    b0 = T.int32()
    b1 = T.int32()
    c0 = T.int32()
    c1 = T.int32()
    A = T.match_buffer(left, (16, 16), "@dtype@", align=64, offset_factor=8, scope="local", strides=[a0, a1])
    B = T.match_buffer(right, (16, 16), "@dtype@", align=64, offset_factor=8, scope="local", strides=[b0, b1])
    C = T.match_buffer(sums, (16, 16), "float32", align=64, offset_factor=8, scope="local", strides=[c0, c1])
    with T.sblock("root"):
        T.reads(C[0:16, 0:16], A[0:16, 0:16], B[0:16, 0:16])
        T.writes(C[0:16, 0:16])
"""

_MULTIPLY_DESCRIPTION = (
    _MULTIPLIED
    + """\
        for i, j, k in T.grid(16, 16, 16):
            with T.sblock("multiply"):
                vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                C[vi, vj] = C[vi, vj] + T.Cast("float32", A[@left@]) * T.Cast("float32", B[@right@])
"""
)

_MULTIPLY = (
    _MULTIPLIED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            T.evaluate(
                T.ptx_legacy.mma(
                    "m16n8k16", "row", "col", "@ptx_dtype@", "@ptx_dtype@", "fp32",
                    A.data, A.elem_offset, B.data, B.elem_offset, C.data, C.elem_offset, False, dtype="float32"
                )
            )
            T.evaluate(
                T.ptx_legacy.mma(
                    "m16n8k16", "row", "col", "@ptx_dtype@", "@ptx_dtype@", "fp32",
                    A.data, A.elem_offset, B.data, B.elem_offset + 4, C.data, C.elem_offset + 4, False, dtype="float32"
                )
            )
"""
)
