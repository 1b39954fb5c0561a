"""TVM's traces as text that may come from strangers: a list of instructions, and what each sampling one decided."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from search_spaces.errors import IllegalSchedule
from search_spaces.tensor_ir.loop_partition import CUT

_PREFIX: Final = "zlib64:"
# A trace has a few KB of JSON.
_MAX_BYTES: Final = 1 << 20

# Those that make up sketches. None of them can bring in code, as annotations of other names could.
_Sampling = Literal[
    "SamplePerfectTile", "SamplePartitionedTile", "SampleCategorical", "SampleComputeLocation"
]
_Kind = (
    _Sampling
    | Literal[
        "Annotate",
        "Unannotate",
        "GetSBlock",
        "GetLoops",
        "GetChildBlocks",
        "GetConsumers",
        "GetProducers",
        "Split",
        "Fuse",
        "Reorder",
        "Bind",
        "AddUnitLoop",
        "CacheRead",
        "CacheWrite",
        "ComputeAt",
        "ReverseComputeAt",
        "ComputeInline",
        "ReverseComputeInline",
        "RFactor",
        "SetScope",
        "StorageAlign",
        "PadEinsum",
        "DecomposeReduction",
        "Unroll",
        "Vectorize",
        "Tensorize",
    ]
)
_ANNOTATIONS: Final = ("meta_schedule.", "software_pipeline_", CUT)
#: The kind of instruction that names an intrinsic: one of ours.
TENSORIZE: Final = "Tensorize"
_INTRINSICS: Final = "autotune_mma_"
_SAMPLING: Final = get_args(_Sampling)

_Number = Annotated[int, Meta(ge=-(2**31), lt=2**31)] | float | bool | None
#: A variable of the trace, or a text in quotes; TVM takes what stands in braces for an object of any type.
_Input = _Number | Annotated[str, Meta(pattern=r'\A(\w+|"[^"\n]*")\Z', max_length=200)]
_Attr = _Number | Annotated[str, Meta(max_length=200)]


class _Instruction(Struct, array_like=True, forbid_unknown_fields=True):
    kind: _Kind
    inputs: list[_Input | list[_Input]]
    attrs: list[_Attr | list[_Attr]]
    outputs: list[str]


class _Decided(Struct, array_like=True, forbid_unknown_fields=True):
    place: Annotated[int, Meta(ge=0)]
    decision: Annotated[int, Meta(ge=-2, lt=2**31)] | list[int]


_DECODER: Final = msgspec.json.Decoder(tuple[list[_Instruction], list[_Decided]])


def pack(value: Any) -> str:
    """Text of a trace as JSON value: JSON, deflated, in base64 behind a prefix."""
    text = json.dumps(value, separators=(",", ":"))
    return _PREFIX + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Any:
    """The JSON value that `pack` wrote, once it is known that TVM can take it without harm.

    Raises IllegalSchedule where the text is damaged, or holds what sketches are not made of.
    """
    try:
        if not text.startswith(_PREFIX):
            raise ValueError(f"it does not start with {_PREFIX!r}")
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text[len(_PREFIX) :], validate=True), _MAX_BYTES)
        if inflate.unconsumed_tail or not inflate.eof:
            raise ValueError(f"it is cut short or larger than {_MAX_BYTES} bytes")
        instructions, decided = _DECODER.decode(data)
        _check(instructions, {each.place: each.decision for each in decided})
    except (ValueError, zlib.error, msgspec.MsgspecError, RecursionError) as error:
        raise IllegalSchedule(f"its stored trace cannot be read: {error}") from error
    return msgspec.to_builtins((instructions, decided))


def _check(instructions: list[_Instruction], decided: dict[int, int | list[int]]) -> None:
    sampling = {place for place, each in enumerate(instructions) if each.kind in _SAMPLING}
    if sampling != set(decided):
        raise ValueError("its decisions are not those of its sampling instructions")
    for place in sampling:
        kind, decision = instructions[place].kind, decided[place]
        if isinstance(decision, list) is not kind.endswith("Tile"):
            raise ValueError(f"{kind} cannot decide {decision}")
        if isinstance(decision, list) and not is_tiling(decision):
            raise ValueError(f"{decision} is no tiling")
    for each in instructions:
        named = each.kind in ("Annotate", "Unannotate")
        if named and not str(each.attrs[:1]).startswith(tuple(f"['{name}" for name in _ANNOTATIONS)):
            raise ValueError(f"sketches have no annotation {str(each.attrs)[:100]}")
        if each.kind == TENSORIZE and not str(each.attrs[:1]).startswith(f"['{_INTRINSICS}"):
            raise ValueError(f"sketches have no intrinsic {str(each.attrs)[:100]}")


def is_tiling(factors: list[int] | tuple[int, ...]) -> bool:
    """Whether TVM can divide a loop by these: positive, or -1 and ones where the loop's extent is not known."""
    return (
        len(factors) > 1
        and all(each > 0 for each in factors[1:])
        and (factors[0] > 0 or (factors[0] == -1 and set(factors[1:]) == {1}))
    )
