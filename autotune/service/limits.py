"""Limits of the service on what comes from outside."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class ExaminationLimits:
    """Limits of the process that reads an uploaded model.

    secs: until it is ended; cpu_secs, memory_bytes, open_files, file_bytes: resource limits;
    nodes: of a graph, those of branches included; nesting: of branches and loops in each other;
    members, unpacked_bytes, ratio: of an archive, the last its unpacked size relative to the packed one.
    """

    secs: float = 60.0
    cpu_secs: int = 120
    memory_bytes: int = 8 * _GIB
    open_files: int = 256
    file_bytes: int = 4 * _GIB
    nodes: int = 100_000
    nesting: int = 16
    members: int = 4096
    unpacked_bytes: int = 4 * _GIB
    ratio: float = 200.0


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits of uploads and requests.

    upload_bytes: of one model; open_uploads: not complete, of one token; upload_secs: until such an upload is deleted;
    body_bytes: of a request that is no upload; models, queued: of one job, and of jobs that wait;
    streams: of events at once; slots: jobs that run at once on this machine.
    """

    upload_bytes: int = 4 * _GIB
    open_uploads: int = 32
    upload_secs: float = 86400.0
    body_bytes: int = _MIB
    models: int = 32
    queued: int = 20_000
    streams: int = 64
    slots: int = 1
    examination: ExaminationLimits = ExaminationLimits()
