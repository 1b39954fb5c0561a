"""A job's tuned models beside other engines, measured when the job has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from autotune.service.documents import Refusal
from autotune.service.result_documents import EngineResult
from search_spaces.errors import AutotuneError
from tuning_logs.atomic_file import atomically

if TYPE_CHECKING:
    from autotune.comparison.result import Comparison
    from autotune.jobs.plan import JobPlan

#: The names of the engines to compare with, beside the job file.
WANTED: Final = "engines.json"
_FOUND: Final = "engines.json"
_OURS: Final = "autotune"


@dataclass(frozen=True)
class EngineComparison:
    """The results of engines; refusal: why there are none."""

    results: tuple[EngineResult, ...] = ()
    refusal: Refusal | None = None


def read_wanted(folder: Path) -> tuple[str, ...]:
    """The engines that the order of a job's folder names; none where there is no such file."""
    try:
        return msgspec.json.decode((folder / WANTED).read_bytes(), type=tuple[str, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def read_engines(output: Path) -> EngineComparison:
    """The comparison in a job's output folder; an empty one where there is none."""
    try:
        return msgspec.json.decode((output / _FOUND).read_bytes(), type=EngineComparison)
    except (OSError, msgspec.MsgspecError):
        return EngineComparison()


def compare_engines(plan: JobPlan, engines: Sequence[str], output: Path) -> None:
    """Measures a job's models as tuned and in other engines, each in a process of its own, in turns; writes what was
    found, or why nothing was, into the job's output folder."""
    try:
        found = EngineComparison(_results(plan, engines))
    except AutotuneError as error:
        found = EngineComparison(refusal=Refusal(error.code, str(error)))
    with atomically(output / _FOUND) as scratch:
        scratch.write_bytes(msgspec.json.encode(found))


def _results(plan: JobPlan, engines: Sequence[str]) -> tuple[EngineResult, ...]:
    from autotune.comparison.comparison import compare
    from autotune.comparison.subject import ModelFile
    from autotune.models.size_range import largest

    models = plan.request.models
    files = [
        ModelFile(one.path, one.largest_shapes, {name: largest(size) for name, size in one.dims.items()})
        for one in models
    ]
    devices = [part.device for part in plan.devices]
    comparison = compare(files, devices, (_OURS, *engines), plan.request.log)
    names = {compared.name: wanted.name for compared, wanted in zip(comparison.models, models, strict=True)}
    return tuple(_rows(comparison, names))


def _rows(comparison: Comparison, names: dict[str, str]) -> list[EngineResult]:
    from autotune.comparison.fastest import fastest

    first = {(one.model, one.device): one.engine for one in fastest(comparison)}
    found = []
    for row in comparison.rows:
        measured = row.measured
        found.append(
            EngineResult(
                model=names[row.model],
                device=row.device,
                engine=row.engine,
                secs=measured.p50.secs if measured else None,
                low_secs=measured.p50.low_secs if measured else None,
                high_secs=measured.p50.high_secs if measured else None,
                p99_secs=measured.p99.secs if measured else None,
                reason=row.reason or row.mistake,
                is_fastest=first[row.model, row.device] == row.engine,
            )
        )
    return found
