"""The forms of mma.sync that tensor cores of Ampere and later have in common, m16n8k<steps>.

In each a row of a tile of operands has 32 bytes, so that all of them load and keep fragments alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Rows and columns of a tile of results.
TILE = 16
_ROW_BYTES = 32
_WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class MmaFormat:
    """dtype, sum_dtype: of the operator's operands and sums; operand, total: the same as PTX names them.

    registers: of a thread for a tile of 16 rows of an operand.
    """

    dtype: str
    sum_dtype: str
    operand: str
    total: str
    registers: int = 4

    @property
    def item_bytes(self) -> int:
        """The size of an operand's element."""
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize

    @property
    def steps(self) -> int:
        """Steps of the sum of one instruction."""
        return _ROW_BYTES // self.item_bytes

    @property
    def word(self) -> int:
        """Elements of a register."""
        return _WORD_BYTES // self.item_bytes

    @property
    def row_padding(self) -> int:
        """Elements to add to each row in shared memory, so that 8 rows lie in different banks."""
        return self.steps // 2

    @property
    def is_split(self) -> bool:
        """Whether operands are sums of two numbers each: of what the instruction takes, and of what that leaves."""
        return self.operand == "tf32"


#: TF32 has 11 significant bits: three products of numbers in two parts leave an error of some 2^-21, as float32 does.
FORMATS = (
    MmaFormat("float16", "float32", "fp16", "fp32"),
    MmaFormat("bfloat16", "float32", "bf16", "fp32"),
    MmaFormat("int8", "int32", "int8", "int32"),
    MmaFormat("float32", "float32", "tf32", "fp32", registers=8),
)


def find_format(dtype: str, sum_dtype: str) -> MmaFormat | None:
    """The format of a product, None where tensor cores have none for it."""
    return next((one for one in FORMATS if (one.dtype, one.sum_dtype) == (dtype, sum_dtype)), None)
