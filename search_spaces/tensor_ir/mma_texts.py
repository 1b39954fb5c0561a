"""The texts of tensor intrinsics in TVMScript, with @places@ for what differs between formats and layouts.

COPY, FILL_DESCRIPTION, MULTIPLY_DESCRIPTION: the operations on tiles that intrinsics stand for; the others: what a warp
does for them. PRODUCT follows MULTIPLY, once for each instruction, and SPLIT follows a load.
"""

_MOVED = """
@T.prim_func(s_tir=True)
def move(source: T.handle, destination: T.handle) -> None:
    s0 = T.int32()
    s1 = T.int32()
    d0 = T.int32()
    d1 = T.int32()
    S = T.match_buffer(
        source, (@rows@, @columns@), "@dtype@", align=64, offset_factor=8, scope="@source@", strides=[s0, s1]
    )
    D = T.match_buffer(
        destination, (@rows@, @columns@), "@dtype@", align=64, offset_factor=8, scope="@destination@", strides=[d0, d1]
    )
    with T.sblock("root"):
        T.reads(S[0:@rows@, 0:@columns@])
        T.writes(D[0:@rows@, 0:@columns@])
"""

COPY = (
    _MOVED
    + """\
        for i, j in T.grid(@rows@, @columns@):
            with T.sblock("copy"):
                vi, vj = T.axis.remap("SS", [i, j])
                D[vi, vj] = S[vi, vj]
"""
)

LOAD_MATRICES = (
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

LOAD_ELEMENTS = (
    _MOVED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            for part in T.unroll(4):
                for place in T.unroll(@word@):
                    D[0, part * @word@ + place] = S[@place@]
"""
)

# The upper 19 bits of a float32 are a TF32; where it is infinite, nothing is left.
SPLIT = """\
            for place in T.unroll(4):
                D[0, 4 + place] = D[0, place]
                D[0, place] = T.reinterpret(
                    "float32", T.bitwise_and(T.reinterpret("uint32", D[0, place]), T.uint32(0xFFFFE000))
                )
                D[0, 4 + place] = T.if_then_else(
                    D[0, 4 + place] == D[0, place], T.float32(0), D[0, 4 + place] - D[0, place]
                )
"""

STORE = (
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
    C = T.match_buffer(sums, (16, 16), "@sums@", align=64, offset_factor=8, scope="local", strides=[c0, c1])
    with T.sblock("root"):
        T.reads()
        T.writes(C[0:16, 0:16])
"""

FILL_DESCRIPTION = (
    _FILLED
    + """\
        for i, j in T.grid(16, 16):
            with T.sblock("fill"):
                vi, vj = T.axis.remap("SS", [i, j])
                C[vi, vj] = @zero@
"""
)

FILL = (
    _FILLED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
            T.evaluate(T.cuda.mma_fill_legacy(8, C.data, C.elem_offset, dtype="@sums@"))
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
    A = T.match_buffer(left, @left_shape@, "@dtype@", align=64, offset_factor=8, scope="local", strides=[a0, a1])
    B = T.match_buffer(right, @right_shape@, "@dtype@", align=64, offset_factor=8, scope="local", strides=[b0, b1])
    C = T.match_buffer(sums, (16, 16), "@sums@", align=64, offset_factor=8, scope="local", strides=[c0, c1])
    with T.sblock("root"):
        T.reads(C[0:16, 0:16], A[@left_region@], B[@right_region@])
        T.writes(C[0:16, 0:16])
"""

MULTIPLY_DESCRIPTION = (
    _MULTIPLIED
    + """\
        for i, j, k in T.grid(16, 16, @steps@):
            with T.sblock("multiply"):
                vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                C[vi, vj] = C[vi, vj] + @left_factor@ * @right_factor@
"""
)

MULTIPLY = (
    _MULTIPLIED
    + """\
        for lane in T.thread_binding(0, 32, "threadIdx.x"):
"""
)

PRODUCT = """\
            T.evaluate(
                T.ptx_legacy.mma(
                    "m16n8k@steps@", "row", "col", "@operand@", "@operand@", "@total@",
                    A.data, A.elem_offset + @left_place@, B.data, B.elem_offset + @right_place@,
                    C.data, C.elem_offset + @sum_place@, False, dtype="@sums@"
                )
            )
"""
