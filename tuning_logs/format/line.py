"""The lines of a tuning log as typed values, and the bytes that stand for them."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from tuning_logs.records.measurement import FailureKind

#: The newest schema. A newer minor version only adds fields and kinds; a newer major one is not read.
SCHEMA: Final = "1.4"
SCHEMA_MAJOR: Final = 1
SCHEMA_MINOR: Final = 4
#: What is written on a line: the oldest schema that has all of its fields, so that the same record is always the
#: same bytes, whichever version wrote it.
_FIRST: Final = "1.0"
WITH_TRACE: Final = "1.1"
WITH_GPU_OR_SLOWDOWN: Final = "1.2"
WITH_REFERENCE_SLOWDOWN: Final = "1.3"
WITH_LAUNCH: Final = "1.4"

#: Longest failure message kept, in characters.
LONGEST_MESSAGE: Final = 2000

#: Longest line read, in bytes: module text may be long, everything else is short.
LONGEST_WORKLOAD_LINE: Final = 64 << 20
LONGEST_LINE: Final = 1 << 20

#: Every line starts with these bytes, which cannot occur inside one (there, quotes are escaped).
LINE_START: Final = b'{"schema":"'

_CRC_START = b',"crc":"'
#: What stands in a line's place for the checksum until the line is encoded.
CRC_UNSET: Final = "00000000"

Schema = Annotated[str, Meta(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}$")]
Crc = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$")]
Key = Annotated[str, Meta(min_length=1, max_length=128)]
Short = Annotated[str, Meta(max_length=2000)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
#: Seconds that something took; the upper bound keeps sums and medians finite.
Secs = Annotated[float, Meta(ge=0.0, le=1e9)]
RunSecs = Annotated[float, Meta(gt=0.0, le=1e9)]
Slowdown = Annotated[float, Meta(ge=1e-3, le=1e3)]
#: How far off a result was; JSON has no word for infinity or not-a-number.
Deviation = Annotated[float, Meta(ge=0.0)] | Literal["inf", "nan"]


class UnreadableLine(Exception):
    """A line that cannot be taken for what it claims to be; the message is the reason."""


class NewerSchema(Exception):
    """An intact line of a newer major version; the message is that version."""


class WorkloadLine(Struct, frozen=True, kw_only=True):
    """Defines the workload that later records name by key; module is the text that rebuilds it."""

    schema: Schema = _FIRST
    kind: Literal["workload"] = "workload"
    key: Key
    name: str
    module: str
    flops: Annotated[float, Meta(ge=0.0)]
    crc: Crc = CRC_UNSET


class DeviceLine(Struct, frozen=True, kw_only=True):
    """Defines the device that later records name by key; key is the digest of the facts."""

    schema: Schema = _FIRST
    kind: Literal["device"] = "device"
    key: Key
    name: Short
    facts: Mapping[str, Int64 | float | str | bool | None]
    crc: Crc = CRC_UNSET


class JobLine(Struct, frozen=True, kw_only=True):
    """Defines the job that later records name by id; started is UTC in ISO 8601."""

    schema: Schema = _FIRST
    kind: Literal["job"] = "job"
    id: Key
    seed: Int64
    sampler: Short
    started: Short
    versions: Mapping[str, str]
    crc: Crc = CRC_UNSET


class TraceLine(Struct, frozen=True, kw_only=True):
    """Defines the trace that later records name by key; key is the digest of the text."""

    schema: Schema = WITH_TRACE
    kind: Literal["trace"] = "trace"
    key: Key
    text: str
    crc: Crc = CRC_UNSET


class TimingValue(Struct, frozen=True, kw_only=True, tag_field="status", tag="ok"):
    """A candidate that ran: seconds per call of every repeat in the order taken, and seconds to build."""

    run_secs: Annotated[tuple[RunSecs, ...], Meta(min_length=1)]
    build_secs: Secs
    censored: bool
    # Both are left out where the machine was as fast as usual.
    slowdown: Slowdown | UnsetType = UNSET
    reference_slowdown: Slowdown | UnsetType = UNSET


class FailureValue(Struct, frozen=True, kw_only=True, tag_field="status", tag="failed"):
    """A candidate that did not run or ran wrong, and the seconds its build took."""

    failure: FailureKind
    message: Annotated[str, Meta(max_length=LONGEST_MESSAGE)]
    build_secs: Secs


class CheckValue(Struct, frozen=True, kw_only=True):
    """The largest deviations from the untuned operator's outputs."""

    max_abs_error: Deviation
    max_rel_error: Deviation


class GpuValue(Struct, frozen=True, kw_only=True):
    """The GPU resources of the compiled kernel: registers and spilled bytes of a thread, shared bytes and threads of a
    block, and the share of a multiprocessor's warps that are resident."""

    registers: Count
    spill_bytes: Count
    shared_bytes: Count
    # Left out where nothing is known of the launch.
    dynamic_shared_bytes: Count | UnsetType = UNSET
    threads: Count | UnsetType = UNSET
    occupancy: Annotated[float, Meta(ge=0.0, le=1.0)] | UnsetType = UNSET


class RecordLine(Struct, frozen=True, kw_only=True):
    """One trial: task, device, trace and job name earlier lines; config is the list of answers."""

    schema: Schema = _FIRST
    kind: Literal["record"] = "record"
    task: Key
    target: Annotated[str, Meta(min_length=1, max_length=2000)]
    weight: Count
    device: Key
    space: Short
    config: tuple[tuple[str, Int64 | str | tuple[Int64, ...]], ...]
    # Left out where there is none, so that such a record is the same line as in schema 1.0.
    trace: Key | UnsetType = UNSET
    measurement: TimingValue | FailureValue
    check: CheckValue | None
    # Left out where the device is no GPU, or nothing was built.
    gpu: GpuValue | UnsetType = UNSET
    job: Key
    trial: Count
    time: Short
    crc: Crc = CRC_UNSET


class UnknownLine(Struct, frozen=True, kw_only=True):
    """A line of a kind that only a newer minor version knows: it is left alone."""

    schema: Schema
    kind: str


Line = UnknownLine | WorkloadLine | DeviceLine | JobLine | TraceLine | RecordLine
#: The kinds of this version.
LINE_TYPES: Final = (WorkloadLine, DeviceLine, JobLine, TraceLine, RecordLine)


class _Header(Struct, frozen=True):
    schema: Schema
    kind: str


#: How nearly every line starts: its header need not be looked at by itself.
_OWN_RECORDS: Final = tuple(
    LINE_START + b'%s","kind":"record",' % schema.encode()
    for schema in (_FIRST, WITH_TRACE, WITH_GPU_OR_SLOWDOWN, WITH_REFERENCE_SLOWDOWN, WITH_LAUNCH)
)

_ENCODER = msgspec.json.Encoder()
_HEADER = msgspec.json.Decoder(_Header)
_DECODERS: Mapping[str, msgspec.json.Decoder[Line]] = {
    "workload": msgspec.json.Decoder(WorkloadLine),
    "device": msgspec.json.Decoder(DeviceLine),
    "job": msgspec.json.Decoder(JobLine),
    "trace": msgspec.json.Decoder(TraceLine),
    "record": msgspec.json.Decoder(RecordLine),
}
_T = TypeVar("_T")


def encode_line(line: Line) -> bytes:
    """The bytes of a line, newline included, with its checksum filled in.

    Raises UnreadableLine with the reason where a value has no JSON form. Values out of bounds are for
    `decode_line` to find.
    """
    try:
        head, _, _ = _ENCODER.encode(line).rpartition(_CRC_START)
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise UnreadableLine(str(error)) from None
    return head + _crc_tail(head) + b"\n"


def bare(text: bytes) -> bytes:
    """A line without the byte-order mark and the line end that an editor may have given it."""
    return text.removeprefix(codecs.BOM_UTF8).rstrip()


def decode_line(text: bytes) -> Line:
    """Reads one bare line.

    Raises UnreadableLine with the reason, NewerSchema for an intact line of a newer major version.
    """
    if not text.startswith(b"{"):
        raise UnreadableLine("it is not a JSON object")
    if not has_valid_crc(text):
        raise UnreadableLine("its checksum does not match its content")
    if text.startswith(_OWN_RECORDS) and len(text) <= LONGEST_LINE:
        return _decoded(_DECODERS["record"], text)
    header = _decoded(_HEADER, text)
    major, minor = (int(part) for part in header.schema.split("."))
    if major > SCHEMA_MAJOR:
        raise NewerSchema(header.schema)
    decoder = _DECODERS.get(header.kind)
    if decoder is None:
        if minor > SCHEMA_MINOR:
            return UnknownLine(schema=header.schema, kind=header.kind)
        raise UnreadableLine(f"no line of schema {header.schema} is of the kind {header.kind[:40]!r}")
    if header.kind != "workload" and len(text) > LONGEST_LINE:
        raise UnreadableLine(f"a {header.kind} line has at most {LONGEST_LINE} bytes, this one {len(text)}")
    return _decoded(decoder, text)


def has_valid_crc(text: bytes) -> bool:
    """Whether the line ends with the checksum of what stands before it."""
    head, _, _ = text.rpartition(_CRC_START)
    return bool(head) and text[len(head) :] == _crc_tail(head)


def whole_end(text: bytes) -> bytes:
    """The line that stands whole behind one that was cut, as where logs were joined; empty where there is none."""
    start = text.rfind(LINE_START, 1)
    return text[start:] if start > 0 and has_valid_crc(text[start:]) else b""


def _crc_tail(head: bytes) -> bytes:
    return _CRC_START + b'%08x"}' % zlib.crc32(head)


def _decoded(decoder: msgspec.json.Decoder[_T], text: bytes) -> _T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise UnreadableLine(f"{error}") from None
    except msgspec.DecodeError as error:
        raise UnreadableLine(f"it is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise UnreadableLine("it is not UTF-8") from None
    except RecursionError:
        raise UnreadableLine("its JSON is nested too deeply") from None
