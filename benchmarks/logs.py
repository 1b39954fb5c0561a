"""Times of opening, querying, growing and merging tuning logs of 10^4, 10^5 and 10^6 records.

    python benchmarks/logs.py [--records 10000 --records 100000] [--folder build/logs] [--json logs.json]

Every number is taken in a process of its own, so that memory is that of one step; the files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from search_spaces.config import Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import (
    Check,
    DeviceFingerprint,
    Failure,
    FailureKind,
    Job,
    Provenance,
    Timing,
    TuningLog,
    TuningRecord,
)
from tuning_logs.file.merging import merge

_T = TypeVar("_T")
_TASKS = 800
_BATCH = 64
_MODULE_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit for a log of a million records."""

    name: str
    unit: str
    at_most: float | None


_BARS = (
    Bar("file", "MB", None),
    Bar("first open", "s", 20.0),
    Bar("open with index", "s", 2.0),
    Bar("best of one task, median", "ms", 5.0),
    Bar("best of one task, slowest", "ms", 5.0),
    Bar("append of 64, median", "ms", 20.0),
    Bar("append of 64, slowest", "ms", 20.0),
    Bar("memory, first open", "MB", 500.0),
    Bar("memory, with index", "MB", 500.0),
    Bar("merge of two", "s", None),
    Bar("memory, merge", "MB", 1000.0),
)


def records(count: int, seed: int) -> Iterator[TuningRecord]:
    """Records as a job writes them: a dozen answers, ten repeats, one in five a failure with a message."""
    rng = random.Random(seed)
    shared = random.Random(0)  # both logs of a merge know the same operators
    target = Target.parse("llvm -mcpu=znver4 -num-cores=16")
    tasks = [
        TuningTask(
            Workload(
                f"{number:032x}",
                f"fused_conv2d_add_relu_{number}",
                "zlib64:" + shared.randbytes(_MODULE_CHARACTERS // 2).hex(),
                1e9,
            ),
            target,
            3,
        )
        for number in range(_TASKS)
    ]
    devices = [DeviceFingerprint(f"cpu-{cores}", {"cores": cores, "threads": cores}) for cores in (2, 16)]
    jobs = [
        Job(f"job-{seed}-{n}", n, "cost-model", "2026-01-01T00:00:00Z", {"tvm": "0.27"}) for n in range(20)
    ]
    for trial in range(count):
        config = Config(
            (
                ("sketch", f"sketch-{rng.randrange(3)}"),
                *((f"tile-{axis}", tuple(2 ** rng.randrange(5) for _ in range(4))) for axis in range(7)),
                *((f"location-{place}", rng.randrange(-2, 9)) for place in range(3)),
                ("unroll-0", rng.choice((0, 16, 64, 512))),
            )
        )
        if rng.random() < 0.2:
            measurement: Timing | Failure = Failure(FailureKind.BUILD_ERROR, "LLVM error: " + "x" * 150, 0.2)
            check = None
        else:
            secs = rng.lognormvariate(-7, 1)
            measurement = Timing(tuple(secs * rng.uniform(1, 1.1) for _ in range(10)), rng.uniform(0.05, 0.3))
            check = Check(rng.random() * 1e-6, rng.random() * 1e-6)
        job = jobs[trial * len(jobs) // count]
        yield TuningRecord(
            rng.choice(tasks),
            devices[trial * len(devices) // count],
            "tensor-ir-1/tvm-0.27.0.post1",
            config,
            measurement,
            check,
            Provenance(job, trial, "2026-01-01T00:00:00.000+00:00"),
        )


def write(path: Path, count: int, seed: int) -> None:
    """A log of that many records."""
    path.unlink(missing_ok=True)
    batch: list[TuningRecord] = []
    with TuningLog.open(path) as log:
        for record in records(count, seed):
            batch.append(record)
            if len(batch) == 4096:
                log.append(batch)
                batch.clear()
        log.append(batch)


def opened(path: Path) -> dict[str, float]:
    """Opens the log and looks one thing up."""
    started = time.perf_counter()
    log = TuningLog.read(path)
    return {"secs": time.perf_counter() - started, "records": len(log), "mb": _peak_mb()}


def answered(path: Path) -> dict[str, float]:
    """Asks for the best of a hundred tasks, each once."""
    log = TuningLog.read(path)
    tasks = log.tasks()[:100]
    device = log.devices()[0]
    taken = [_timed(lambda task=task: log.best(task, device)) for task in tasks]
    return {"median": statistics.median(taken), "slowest": max(taken), "mb": _peak_mb()}


def appended(path: Path) -> dict[str, float]:
    """Appends thirty batches."""
    fresh = list(records(30 * _BATCH, seed=99))
    with TuningLog.open(path) as log:
        log.append(fresh[:_BATCH])
        taken = [
            _timed(lambda start=start: log.append(fresh[start : start + _BATCH]))
            for start in range(_BATCH, len(fresh), _BATCH)
        ]
    return {"median": statistics.median(taken), "slowest": max(taken), "mb": _peak_mb()}


def merged(path: Path, other: Path, output: Path) -> dict[str, float]:
    """Merges two logs into a third."""
    taken = _timed(lambda: merge([path, other], output))
    return {"secs": taken, "mb": _peak_mb()}


def measured(folder: Path, count: int) -> dict[str, float]:
    """One column of the table."""
    one, two, both = (folder / f"{name}-{count}.jsonl" for name in ("one", "two", "both"))
    for path, seed in ((one, 1), (two, 2)):
        _apart(write, path, count, seed)
        path.with_name(path.name + ".idx").unlink(missing_ok=True)
    first = _apart(opened, one)
    again = _apart(opened, one)
    best = _apart(answered, one)
    result = {"file": one.stat().st_size / 1e6}
    merging = _apart(merged, one, two, both)
    append = _apart(appended, one)
    for path in (one, two, both):
        path.unlink()
        path.with_name(path.name + ".idx").unlink(missing_ok=True)
    return result | {
        "first open": first["secs"],
        "open with index": again["secs"],
        "best of one task, median": best["median"] * 1e3,
        "best of one task, slowest": best["slowest"] * 1e3,
        "append of 64, median": append["median"] * 1e3,
        "append of 64, slowest": append["slowest"] * 1e3,
        "memory, first open": first["mb"],
        "memory, with index": max(again["mb"], best["mb"], append["mb"]),
        "merge of two": merging["secs"],
        "memory, merge": merging["mb"],
    }


def main() -> None:
    """Prints the table; exits with 1 where a million records are over a bar."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, action="append", help="how many; may be given several times")
    parser.add_argument(
        "--folder", type=Path, help="where the logs go for the time being (2.5 GB at a million)"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    counts = arguments.records or [10**4, 10**5, 10**6]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        columns = {count: measured(Path(folder), count) for count in counts}
    print(f"{'':<28}" + "".join(f"{count:>12,}" for count in counts) + f"{'at most':>12}")
    missed = False
    for bar in _BARS:
        numbers = [columns[count][bar.name] for count in counts]
        limit = "" if bar.at_most is None else f"{bar.at_most:g}"
        print(f"{bar.name + ', ' + bar.unit:<28}" + "".join(f"{n:>12.2f}" for n in numbers) + f"{limit:>12}")
        missed |= bar.at_most is not None and max(numbers) > bar.at_most
    if arguments.json:
        arguments.json.write_text(
            json.dumps({str(count): column for count, column in columns.items()}, indent=2)
        )
    sys.exit(1 if missed else 0)


def _apart(function: Callable[..., _T], *arguments: object) -> _T:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
