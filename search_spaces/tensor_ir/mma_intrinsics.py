"""Tensor intrinsics for the tensor cores of NVIDIA's GPUs: ldmatrix, mma.sync, and what surrounds them (imports TVM).

TVM has such intrinsics, whose import parses those of all back ends for 20 s. These are other ones: an operand's
fragments lie in a buffer of scope "local" by rows and columns, as in the operator itself, so that a description is the
plain operation on a tile. Each thread of a warp holds a 32nd of a fragment's elements: the implementations keep them
where the tile's first row begins. All other elements are never touched, and the CUDA compiler drops them, as loops over
fragments are unrolled. Fragments are laid out as PTX ISA says for mma.m16n8k8 to k32 and ldmatrix.
"""

from __future__ import annotations

from functools import cache

import tvm
from tvm.ir.instrument import PassInstrument
from tvm.s_tir import TensorIntrin
from tvm.script import from_source
from tvm.script import tirx as script

from search_spaces.tensor_ir.mma_formats import FORMATS, TILE, MmaFormat
from search_spaces.tensor_ir.mma_texts import (
    COPY,
    FILL,
    FILL_DESCRIPTION,
    LOAD_ELEMENTS,
    LOAD_MATRICES,
    MULTIPLY,
    MULTIPLY_DESCRIPTION,
    PRODUCT,
    SPLIT,
    STORE,
)

#: The start of all names: no other intrinsic may be named in a stored trace.
PREFIX = "autotune_mma_"
_FLOAT = "float32"
# The address of the row that a lane hands to ldmatrix, of four matrices of 8 rows: two below each other, then those to
# the right; and the other way around.
_DOWN_FIRST = "s0 * (lane % 16) + @half@ * (lane // 16)"
_RIGHT_FIRST = "s0 * 8 * (lane // 16) + s0 * (lane % 8) + @half@ * (lane % 16 // 8)"
# The element of an operand in a register, by its step and its row: an operand's row is the result's row or column.
_STEP = "lane % 4 * @word@ + place + 4 * @word@ * ({})"
_ROW = "lane // 4 + 8 * ({})"


def load_name(dtype: str, *, is_left: bool, is_transposed: bool) -> str:
    """The intrinsic that loads a fragment from shared memory; is_transposed: as in `MatrixProduct`."""
    return f"{PREFIX}load_{dtype}_{'left' if is_left else 'right'}{'_transposed' if is_transposed else ''}"


def multiply_name(dtype: str, *, left_transposed: bool, right_transposed: bool) -> str:
    """The intrinsic that adds the product of two fragments to a third."""
    return f"{PREFIX}multiply_{dtype}_{'t' if left_transposed else 'n'}{'t' if right_transposed else 'n'}"


def fill_name(sum_dtype: str) -> str:
    """The intrinsic that makes a fragment of sums zero."""
    return f"{PREFIX}fill{'' if sum_dtype == _FLOAT else f'_{sum_dtype}'}"


def store_name(sum_dtype: str) -> str:
    """The intrinsic that stores a fragment of sums into shared memory."""
    return f"{PREFIX}store{'' if sum_dtype == _FLOAT else f'_{sum_dtype}'}"


@cache
def register_mma_intrinsics() -> None:
    """Makes the intrinsics known to TVM, once in a process (0.8 s)."""
    for sums in dict.fromkeys(each.sum_dtype for each in FORMATS):
        moved = {"dtype": sums, "source": "local", "destination": "shared.dyn"}
        shape = {"rows": str(TILE), "columns": str(TILE)}
        _register(store_name(sums), COPY, STORE, {**moved, **shape})
        zero = "T.float32(0)" if sums == _FLOAT else "0"
        _register(fill_name(sums), FILL_DESCRIPTION, FILL, {"sums": sums, "zero": zero})
    for each in FORMATS:
        for left in (False, True):
            _register_load(each, is_left=True, is_transposed=left)
            _register_load(each, is_left=False, is_transposed=left)
            for right in (False, True):
                _register_multiply(each, left_transposed=left, right_transposed=right)


def code_generation(target: tvm.target.Target, *instruments: PassInstrument) -> tvm.transform.PassContext:
    """The context to generate code for a target in: on GPUs of NVIDIA with asynchronous copies to shared memory."""
    config = {"tirx.use_async_copy": True} if str(target.kind.name) == "cuda" else {}
    return tvm.transform.PassContext(config=config, instruments=list(instruments))


def _register_load(form: MmaFormat, *, is_left: bool, is_transposed: bool) -> None:
    # Rows of steps are what both operands of mma have.
    by_rows = is_transposed is not is_left
    shape = (TILE, form.steps) if by_rows else (form.steps, TILE)
    values = {
        "dtype": form.dtype,
        "source": "shared.dyn",
        "destination": "local",
        "rows": str(shape[0]),
        "columns": str(shape[1]),
    }
    if by_rows or form.item_bytes == 2:
        values["transposes"] = str(not by_rows)
        values["address"] = _RIGHT_FIRST if is_transposed else _DOWN_FIRST
        implementation = LOAD_MATRICES
    else:
        # ldmatrix transposes matrices of 16-bit elements only.
        row, step = ("part % 2", "part // 2") if is_left else ("part // 2", "part % 2")
        values["place"] = f"{_STEP.format(step)}, {_ROW.format(row)}"
        implementation = LOAD_ELEMENTS
    values |= {"half": str(form.steps // 2), "word": str(form.word)}
    name = load_name(form.dtype, is_left=is_left, is_transposed=is_transposed)
    _register(name, COPY, implementation + (SPLIT if form.is_split else ""), values)


def _register_multiply(form: MmaFormat, *, left_transposed: bool, right_transposed: bool) -> None:
    steps, tile = str(form.steps), str(TILE)
    implementation = MULTIPLY
    # The smallest products first.
    pairs = ((4, 0), (0, 4), (0, 0)) if form.is_split else ((0, 0),)
    for half in range(2):
        for left, right in pairs:
            places = {"left_place": left, "right_place": right + half * 2 * form.word, "sum_place": 4 * half}
            text = PRODUCT
            for key, value in places.items():
                text = text.replace(f"@{key}@", str(value))
            implementation += text
    values = {
        "dtype": form.dtype,
        "sums": form.sum_dtype,
        "operand": form.operand,
        "total": form.total,
        "steps": steps,
        "left_shape": f"({steps}, {tile})" if left_transposed else f"({tile}, {steps})",
        "right_shape": f"({tile}, {steps})" if right_transposed else f"({steps}, {tile})",
        "left_region": f"0:{steps}, 0:{tile}" if left_transposed else f"0:{tile}, 0:{steps}",
        "right_region": f"0:{tile}, 0:{steps}" if right_transposed else f"0:{steps}, 0:{tile}",
        "left_factor": _widened(form, "A", "vk, vi" if left_transposed else "vi, vk"),
        "right_factor": _widened(form, "B", "vj, vk" if right_transposed else "vk, vj"),
    }
    name = multiply_name(form.dtype, left_transposed=left_transposed, right_transposed=right_transposed)
    _register(name, MULTIPLY_DESCRIPTION, implementation, values)


def _widened(form: MmaFormat, buffer: str, indices: str) -> str:
    load = f"{buffer}[{indices}]"
    return load if form.dtype == form.sum_dtype else f'T.Cast("{form.sum_dtype}", {load})'


def _register(name: str, description: str, implementation: str, values: dict[str, str]) -> None:
    texts = [text.strip() for text in (description, implementation)]
    for key, value in values.items():
        texts = [text.replace(f"@{key}@", value) for text in texts]
    parsed = [from_source(text, extra_vars={"T": script}) for text in texts]
    TensorIntrin.register(name, *parsed, override=True)
