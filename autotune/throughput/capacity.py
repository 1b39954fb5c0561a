"""Capacity of a model: the throughput within a latency limit, and what a million requests cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from autotune.devices.device import Device, local_device
from autotune.models.model import Model, load_model
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.inference_protocol import is_url, parse_url
from autotune.throughput.libraries import Served, build_libraries, open_library
from autotune.throughput.package_file import is_package, opened_package
from autotune.throughput.package_target import PackageTarget
from autotune.throughput.server_target import ServerTarget
from autotune.throughput.study import StudySettings, study, study_server
from autotune.throughput.study_result import Subject, capacity_result
from autotune.throughput.target import LibraryTarget
from search_spaces.errors import Misuse
from tuning_logs import RecordStore, TuningLog

#: Batch sizes that are tried where a model takes them.
BATCHES = (1, 2, 4, 8)
_MS = 1e-3
_MOST_BATCH = 1024


@dataclass(frozen=True)
class CapacityOptions:
    """Options of a capacity study.

    batches:       the largest numbers of requests of one call, of which each is built;
    batch_wait_ms: a batch that is not full waits so long after its first request;
    device:        whose processors and price count; by default this machine;
    log:           schedules of builds; by default the default ones;
    tell:          receives a line for each step.
    """

    batches: Sequence[int] = BATCHES
    batch_wait_ms: float = 0.0
    device: Device | None = None
    log: RecordStore | None = None
    seed: int = 0
    tell: Callable[[str], None] = field(default=lambda _: None)


def capacity(
    model: str | Path | Model,
    p99_ms: float,
    price_per_hour: float | None = None,
    time_secs: float = 60.0,
    options: CapacityOptions | None = None,
) -> CapacityResult:
    """The largest Poisson load of a model whose 99th percentile of latency is within a limit, and how to serve it.

    model: a library that `Build.save` wrote (``.so``); a package (wheel, server, or the folder of one), whose server is
    loaded over HTTP; a model or its file, which is built for each batch size; or the URL of a model at a running server
    that speaks the Open Inference Protocol, ``http://host:8000/v2/models/name``;
    price_per_hour: by default the device's; time_secs: of the study, without builds. Instances × threads × batch are
    searched by simulation from measured service times; the best are run under open-loop load, whose latencies count
    from the scheduled arrival. Raises Misuse for a limit or a time that is not positive, and for a device elsewhere.
    """
    chosen = options or CapacityOptions()
    _check(p99_ms, time_secs, chosen)
    device = chosen.device or local_device()
    if not device.is_here or device.target.is_gpu:
        raise Misuse(
            f"expected this machine's processor to load; found {device.connection!r}. Run it there",
            code="AT708",
        )
    price = device.price_per_hour if price_per_hour is None else price_per_hour
    settings = StudySettings(p99_ms * _MS, time_secs, device.threads, chosen.batch_wait_ms * _MS, chosen.seed)
    name = model.name if isinstance(model, Model) else str(model)
    subject = Subject(
        name if is_url(name) else Path(name).name, device.fingerprint.name, device.connection, price
    )
    if is_url(name):
        return _of_server(name, settings, subject, chosen.tell)
    if not isinstance(model, Model) and is_package(Path(model)):
        return _of_package(Path(model), settings, subject, chosen)
    with _served(model, device, chosen) as served:
        subject = replace(subject, served_by="calls in one process, without a server", notices=served.notices)
        started = time.monotonic()
        with LibraryTarget(served.model, chosen.seed) as target:
            findings = study(target, settings, chosen.tell)
    return capacity_result(findings, settings, subject, time.monotonic() - started)


def _of_package(
    path: Path, settings: StudySettings, subject: Subject, options: CapacityOptions
) -> CapacityResult:
    """The capacity of a package's own server, over HTTP."""
    if options.batch_wait_ms:
        raise Misuse(
            f"expected no wait for batches of a package, whose server has none; found {options.batch_wait_ms:g} ms",
            code="AT741",
        )
    started = time.monotonic()
    with opened_package(path) as package:
        served = open_library(package.library, options.batches)
        subject = replace(
            subject,
            model=package.module,
            served_by=f"python -m {package.module}.server: HTTP with binary tensors, the load generator beside it",
            notices=served.notices,
        )
        with PackageTarget(package, served.model, options.seed) as target:
            findings = study(target, settings, options.tell)
    return capacity_result(findings, settings, subject, time.monotonic() - started)


def _of_server(
    url: str, settings: StudySettings, subject: Subject, tell: Callable[[str], None]
) -> CapacityResult:
    """The capacity of a running server; how it serves is not known."""
    address = parse_url(url)
    subject = replace(subject, served_by="the server as it runs: HTTP with binary tensors")
    started = time.monotonic()
    with ServerTarget(address) as target:
        findings = study_server(target, settings, tell)
    found = capacity_result(findings, settings, subject, time.monotonic() - started)
    return msgspec.structs.replace(
        found, setup=None, one_after_the_other=None, one_after_the_other_per_second=0.0, screened=()
    )


@contextmanager
def _served(model: str | Path | Model, device: Device, options: CapacityOptions) -> Iterator[Served]:
    if not isinstance(model, Model) and Path(model).suffix == ".so":
        yield open_library(Path(model), options.batches)
        return
    read = model if isinstance(model, Model) else load_model(model)
    log = TuningLog.in_memory() if options.log is None else options.log
    with tempfile.TemporaryDirectory(prefix="autotune-capacity-") as folder:
        yield build_libraries(read, options.batches, device, log, Path(folder))


def _check(p99_ms: float, time_secs: float, options: CapacityOptions) -> None:
    if not 0.0 < p99_ms < float("inf") or not 0.0 < time_secs < float("inf"):
        raise Misuse(
            f"expected a limit and a time above zero; found {p99_ms:g} ms and {time_secs:g} s", code="AT741"
        )
    if not options.batches or not all(1 <= size <= _MOST_BATCH for size in options.batches):
        raise Misuse(
            f"expected batch sizes from 1 to {_MOST_BATCH}; found {', '.join(map(str, options.batches)) or 'none'}",
            code="AT741",
        )
    if not 0.0 <= options.batch_wait_ms < p99_ms:
        raise Misuse(
            f"expected batches to wait for less than the limit of {p99_ms:g} ms; found {options.batch_wait_ms:g} ms",
            code="AT741",
        )
