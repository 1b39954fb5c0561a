"""The folder of a job as `autotune run` takes it: its job file, its devices, and what its engine has left there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from autotune.cluster.address import HERE, WorkersAddress
from autotune.devices.connection import distinct_name
from autotune.jobs.durations import parse_secs
from autotune.jobs.status import JobStatus
from autotune.jobs.status_file import read_status
from autotune.service.documents import JobOrder, ModelOrder, Needs
from autotune.service.engine_comparison import WANTED
from autotune.service.job_queue import Result
from autotune.service.model_shelf import ModelShelf
from autotune.service.service_folder import ServiceFolder
from search_spaces.errors import AutotuneError
from tuning_logs.atomic_file import atomically

#: Seconds of a trial with its compilation, where nothing else tells.
_TRIAL_SECS: Final = 0.2
JOB_FILE: Final = "jobs.toml"
#: The error that ended a job, beside its file.
ERROR_FILE: Final = "error.json"


def write_job(
    folder: ServiceFolder, job: str, order: JobOrder, shelf: ModelShelf, workers: WorkersAddress = HERE
) -> None:
    """Writes the job file of an order, and the devices of the service beside it; the same order writes the same."""
    where = folder.job(job)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [shelf.path(one.model) for one in order.models]
    with atomically(where / JOB_FILE) as scratch:
        scratch.write_text(
            job_text(order, [os.path.relpath(path, where) for path in paths], workers), "utf-8"
        )
    with atomically(where / WANTED) as scratch:
        scratch.write_bytes(msgspec.json.encode(order.engines))
    if os.path.exists(folder.devices_file):
        with atomically(where / "devices.toml") as scratch:
            shutil.copyfile(folder.devices_file, scratch)


def job_text(order: JobOrder, paths: Sequence[str], workers: WorkersAddress = HERE) -> str:
    """The job file of an order; paths: of its models, from the file's folder."""
    names = model_names(paths)
    top: dict[str, object] = {
        "name": order.name or ", ".join(names),
        "output": "out",
        "devices": list(order.devices),
        "seed": order.seed,
    }
    if not workers.is_local:
        top["workers"] = workers.text
    budget = {"time": order.time, "trials": order.trials, "gain_per_hour": order.gain_per_hour}
    lines = [*_assignments(top), "", "[budget]", *_assignments(budget)]
    for model, path, name in zip(order.models, paths, names, strict=True):
        table = {
            "path": path,
            "name": name,
            "priority": float(model.priority),
            "latency_ms": model.needs.latency_ms,
        }
        lines += ["", "[[models]]", *_assignments(table), *_sizes(model)]
    return "\n".join(lines) + "\n"


def model_names(paths: Sequence[str]) -> list[str]:
    """The names of models in a job: those of their files, with a number where several have the same."""
    names: list[str] = []
    for path in paths:
        stem = Path(path).stem
        number = 1
        name = stem
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def needs_by_name(order: JobOrder, shelf: ModelShelf) -> dict[str, Needs]:
    """The needs of an order's models by their names in the job."""
    names = model_names([str(shelf.path(one.model)) for one in order.models])
    return {name: one.needs for name, one in zip(names, order.models, strict=True)}


def expected_secs(order: JobOrder) -> float | None:
    """Seconds that a job takes at most by its budget; None where only its gain ends it."""
    limits = [parse_secs(order.time)] if order.time else []
    if order.trials:
        limits.append(order.trials * _TRIAL_SECS)
    return min(limits, default=None)


def status_of(output: Path) -> JobStatus | None:
    """The status that a job's engine has left; None where there is none, or none that can be read."""
    try:
        return read_status(output)
    except AutotuneError:
        return None


def results_of(status: JobStatus, order: JobOrder, shelf: ModelShelf) -> list[Result]:
    """The measured latencies of a job's libraries, for the history of its models."""
    names = model_names([str(shelf.path(one.model)) for one in order.models])
    rows = {name: shelf.row(one.model) for name, one in zip(names, order.models, strict=True)}
    devices = {one.connection: distinct_name(one.name, one.connection) for one in status.devices}
    trials = {one.connection: one.trials for one in status.devices}
    found = []
    for model in status.models:
        kept = model.fastest
        if kept is None or model.name not in rows:
            continue
        row = rows[model.name]
        device = devices.get(model.device, model.device)
        count = trials.get(model.device, 0)
        found.append(
            Result(row.id, device, row.name, row.sha256, kept.secs, kept.low_secs, kept.high_secs, count)
        )
    return found


def _sizes(model: ModelOrder) -> list[str]:
    lines = []
    for key, sizes in (("shapes", model.shapes), ("dims", model.dims)):
        if sizes:
            inner = ", ".join(f"{_text(name)} = {_value(value)}" for name, value in sizes.items())
            lines.append(f"{key} = {{ {inner} }}")
    return lines


def _assignments(values: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in values.items() if value is not None]


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _text(text: str) -> str:
    """A basic string of TOML: those of JSON, with the one control character that JSON leaves as it is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
