"""Features of records' programs, computed a task at a time."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cost_models.features.feature_cache import KEY_BYTES, FeatureCache
from cost_models.features.program_features import COLUMNS, FEATURE_VERSION, ProgramFeatures
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED
from search_spaces.errors import IllegalSchedule
from search_spaces.tensor_ir.sketch import Sketch, stored_sketch
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.record import TuningRecord

#: Below that many rows another process takes longer to start than it saves.
_WORTH_PROCESSES: Final = 4000
#: Programs of no sketch.
_BASELINES: Final = tuple(config.by_name["sketch"] for config in (UNTOUCHED, DEFAULT_SCHEDULE))


def record_key(record: TuningRecord) -> bytes:
    """A digest of all that the features of a record depend on: task, target, device, space, config and trace."""
    parts = (
        record.task.key,
        str(record.task.target),
        record.device.key,
        record.space_version,
        record.config.key,
        "" if record.trace is None else record.trace,
    )
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=KEY_BYTES).digest()


def record_features(
    records: Sequence[TuningRecord], cache: FeatureCache | None = None, processes: int = 1
) -> NDArray[np.float32]:
    """(n, len(COLUMNS)) float32; a row is all NaN where a record's program cannot be rebuilt any more.

    processes: for large logs; small ones are computed in this process.
    """
    keys = [record_key(record) for record in records]
    if cache is None:
        return _computed(records, processes)
    rows, known = cache.find(keys)
    missing = np.flatnonzero(~known)
    if len(missing):
        rows[missing] = _computed([records[place] for place in missing.tolist()], processes)
    if len(missing) or len(cache) > len(records):
        cache.keep(keys, rows)
    return rows


def feature_cache(log: str) -> FeatureCache | None:
    """The cache beside a log file, None for a log that is no file."""
    return None if "://" in log else FeatureCache.beside(Path(log), FEATURE_VERSION, COLUMNS)


def _computed(records: Sequence[TuningRecord], processes: int) -> NDArray[np.float32]:
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault(record.comparable_key, []).append(place)
    rows = np.full((len(records), len(COLUMNS)), np.nan, dtype=np.float32)
    work = [[records[place] for place in places] for places in groups.values()]
    for places, found in zip(groups.values(), _mapped(work, processes), strict=True):
        rows[places] = found
    return rows


def _mapped(work: list[list[TuningRecord]], processes: int) -> Iterable[NDArray[np.float32]]:
    if processes == 1 or sum(map(len, work)) < _WORTH_PROCESSES:
        return map(_task_features, work)
    # Spawned: TVM's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return list(pool.map(_task_features, work, chunksize=4))


def _task_features(records: list[TuningRecord]) -> NDArray[np.float32]:
    """Rows of records of one task on one device."""
    features = ProgramFeatures(records[0].task, records[0].device)
    groups: dict[tuple[str, str | None, str], list[int]] = {}
    for place, record in enumerate(records):
        name = str(record.config.by_name.get("sketch", ""))
        groups.setdefault((name, record.trace, record.space_version), []).append(place)
    rows = np.full((len(records), len(COLUMNS)), np.nan, dtype=np.float32)
    for (name, _, _), places in groups.items():
        configs = [records[place].config for place in places]
        if name in _BASELINES:
            rows[places] = features.matrix(None, configs)
        elif (sketch := _sketch(features, records[places[0]])) is not None:
            rows[places] = features.matrix(sketch, configs)
    return rows


def _sketch(features: ProgramFeatures, record: TuningRecord) -> Sketch | None:
    """The sketch of a record: from its stored trace, else from its search space; None where neither has it."""
    if record.trace is not None:
        with contextlib.suppress(IllegalSchedule, RuntimeError, ValueError, TypeError):
            return stored_sketch(features.module, record.trace, record.config)
    space = TensorIRSpace(record.task)
    if space.version != record.space_version:
        return None
    return next((each for each in space.sketches if each.name == record.config.by_name.get("sketch")), None)
