"""Times, memory and processor time of `autotune watch`, and the latency of a job with and without it.

    python benchmarks/watching.py [--records 1000000] [--folder build] [--turns 8] [--json watching.json]

The log is that of benchmarks/logs.py, with the index that its first reader leaves. The first page is shown while such a
log is still opened; the times count from the start of the command. A page is fetched as a browser
does, without its pictures. The job is a matrix product that is timed in turns, with a page open in its event stream
while records are appended to the log, and without: the share by which its best latency differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import numpy as np
import psutil
from logs import records, write

from tuning_logs import TuningLog

_PAGES = ("", "operators", "operators/0-0", "failures", "machine")
#: Limits: seconds of the slowest page, and the share of the best latency.
_MOST_PAGE_SECS = 1.0
_MOST_SHARE = 0.01
_KERNEL_SIZE = 256
_TURN_SECS = 6.0
_BATCH = 16


class Watcher:
    """A running `autotune watch`; up_secs: until it says its address."""

    def __init__(self, place: Path) -> None:
        command = [sys.executable, "-m", "autotune.cli.main", "watch", str(place), "--port", "0"]
        self.started = started = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.up_secs = time.perf_counter() - started
        self.address = re.findall(r"http://\S+", line)[0]
        self._usage = psutil.Process(self._process.pid)

    def fetch(self, path: str) -> tuple[float, int]:
        """Seconds and bytes of a page."""
        started = time.perf_counter()
        with urllib.request.urlopen(self.address + path) as answer:
            size = len(answer.read())
        return time.perf_counter() - started, size

    def is_reading(self) -> bool:
        """Whether the overview says that a part of the log was not read yet."""
        with urllib.request.urlopen(self.address) as answer:
            return b"is being read" in answer.read()

    @property
    def memory_mb(self) -> float:
        """Resident memory in MB."""
        return float(self._usage.memory_info().rss) / 1e6

    @property
    def processor_secs(self) -> float:
        """Processor seconds so far."""
        spent = self._usage.cpu_times()
        return float(spent.user + spent.system)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """While entered, a page is open: at every event of the server it is fetched again."""
        stream = urllib.request.urlopen(self.address + "events")

        def follow() -> None:
            with suppress(OSError):  # of a server that ends
                for line in stream:
                    if line.startswith(b"event: changed"):
                        self.fetch("")

        threading.Thread(target=follow, daemon=True).start()
        yield

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(30)


def pages(log: Path, repeats: int) -> dict[str, object]:
    """Times of the pages of a log, warm, and of the start with an index beside it."""
    watcher = Watcher(log)
    try:
        watcher.fetch("")
        first_page_secs = time.perf_counter() - watcher.started
        while watcher.is_reading():
            time.sleep(0.1)
        all_read_secs = time.perf_counter() - watcher.started
        found = {}
        for path in _PAGES:
            taken = [watcher.fetch(path) for _ in range(repeats)]
            secs = [one for one, _ in taken]
            found[path or "overview"] = {
                "median_secs": statistics.median(secs),
                "slowest_secs": max(secs),
                "kb": taken[0][1] / 1e3,
            }
        return {
            "start_secs": watcher.up_secs,
            "first_page_secs": first_page_secs,
            "all_read_secs": all_read_secs,
            "memory_mb": watcher.memory_mb,
            "pages": found,
        }
    finally:
        watcher.close()


def disturbance(log: Path, turns: int) -> dict[str, float]:
    """The best latency of a kernel in turns without and with a watcher whose log grows; processor share of it."""
    source, rng = records(10**9, seed=7), np.random.default_rng(0)
    factors = tuple(rng.random((_KERNEL_SIZE, _KERNEL_SIZE), np.float32) for _ in range(2))
    best: dict[bool, list[float]] = {False: [], True: []}
    shares = []
    with TuningLog.open(log) as writer:
        for turn in range(2 * turns):
            is_watched = turn % 2 == 1
            if not is_watched:
                best[False].append(_best_secs(writer, source, factors))
                continue
            watcher = Watcher(log)
            try:
                with watcher.followed():
                    time.sleep(1.0)
                    spent, started = watcher.processor_secs, time.perf_counter()
                    best[True].append(_best_secs(writer, source, factors))
                    shares.append((watcher.processor_secs - spent) / (time.perf_counter() - started))
            finally:
                watcher.close()
    alone, watched = (min(best[one]) for one in (False, True))
    medians = [statistics.median(best[one]) for one in (False, True)]
    return {
        "best_alone_ms": 1e3 * alone,
        "best_watched_ms": 1e3 * watched,
        "share": watched / alone - 1,
        "share_of_medians": medians[1] / medians[0] - 1,
        "processor_share": statistics.median(shares),
    }


def _best_secs(writer: TuningLog, source: Iterator[object], factors: tuple[np.ndarray, ...]) -> float:
    """The fastest of many runs of a kernel, between which a job's records are appended."""
    best, until = float("inf"), time.perf_counter() + _TURN_SECS
    for number in count():
        started = time.perf_counter()
        if started > until:
            return best
        factors[0] @ factors[1]
        best = min(best, time.perf_counter() - started)
        if number % 1000 == 0:
            writer.append([next(source) for _ in range(_BATCH)])
    raise AssertionError


def main() -> None:
    """Prints the numbers; exits with 1 where one is over its limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=10**6)
    parser.add_argument(
        "--folder", type=Path, help="where the log goes for the time being (1 GB at a million)"
    )
    parser.add_argument("--log", type=Path, help="a log that is there already; it is not changed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        log = arguments.log or Path(folder) / "log.jsonl"
        if arguments.log is None:
            write(log, arguments.records, 1)
        started = time.perf_counter()
        TuningLog.read(log)
        first_secs = time.perf_counter() - started
        found = {"first_read_secs": first_secs, **pages(log, arguments.repeats)}
        small = Path(folder) / "small.jsonl"
        write(small, 20_000, 2)
        found["job"] = disturbance(small, arguments.turns)
    print(json.dumps(found, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))
    slowest = max(one["slowest_secs"] for one in found["pages"].values())
    sys.exit(slowest > _MOST_PAGE_SECS or found["job"]["share"] > _MOST_SHARE)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
