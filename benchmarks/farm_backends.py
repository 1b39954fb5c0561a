"""A job on a Ray cluster of this machine beside a plain one, and appends to its PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from tuning_logs import TuningLog

# Processes that write to a database, and threads in each.
_WRITING = 8
_WRITERS = 8


def ray_job(repeats: int) -> dict[str, Any]:
    """A real job on a cluster of two nodes with a processor each, and with this machine's processes, in turns."""
    import ray
    from ray.cluster_utils import Cluster

    from autotune.cluster.address import WorkersAddress
    from autotune.cluster.ray_workers import RayWorkers
    from autotune.devices.device import local_device
    from autotune.models.operators import operator_task
    from autotune.runners.workers import LocalWorkers

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    before, started = _memory_bytes(), time.monotonic()
    store = {"object_store_memory": 200 << 20}
    head = {"num_cpus": 1, "resources": {"device:local": 1}, "include_dashboard": False, **store}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, **store)
    ray.init(address=cluster.address, namespace="autotune", log_to_driver=False)
    start_secs, start_mib = time.monotonic() - started, (_memory_bytes() - before) >> 20
    print(f"two nodes up after {start_secs:.1f} s, {start_mib} MiB of memory")
    here = local_device(1)
    task = operator_task("matmul:256,256,256", here.target)
    rows: dict[str, list[tuple[float, float]]] = {"ray": [], "local": []}
    workers_of = {"ray": RayWorkers(WorkersAddress("ray")), "local": LocalWorkers()}
    # The first of each is not counted: it imports what the others find in place.
    for repeat in range(-1, repeats):
        for name in ("local", "ray") if repeat % 2 else ("ray", "local"):
            log = TuningLog.in_memory()
            job = TuningJob((task,), here, Budget(trials=96), seed=repeat + 1, batch=16, finals_share=0.0)
            moments = [time.monotonic() for _ in Tuner(job, log).rounds(workers=workers_of[name])]
            rate = 96 / (moments[-1] - moments[0])
            best = log.best(task, here.fingerprint)
            assert best is not None
            if repeat >= 0:
                rows[name].append((rate, best.secs))
            print(f"{name}: {rate:.2f} trials a second, best {1e6 * best.secs:.1f} µs", flush=True)
    rates = {name: statistics.median(rate for rate, _ in found) for name, found in rows.items()}
    bests = {name: statistics.median(best for _, best in found) for name, found in rows.items()}
    turns = zip(rows["ray"], rows["local"], strict=True)
    of_turns = statistics.median(ours[0] / theirs[0] for ours, theirs in turns)
    print(
        f"medians of {repeats}: trials a second {rates['ray'] / rates['local']:.3f} of local "
        f"({of_turns:.3f} turn by turn), best latency {bests['ray'] / bests['local']:.3f} of local"
    )
    for workers in workers_of.values():
        workers.close()
    ray.shutdown()
    cluster.shutdown()
    return {
        "start_secs": start_secs,
        "start_mib": start_mib,
        "rows": rows,
        "rates": rates,
        "bests": bests,
        "of_turns": of_turns,
    }


def postgresql(secs: float) -> dict[str, Any]:
    """Appends per second of 64 writers in 8 processes to a database of this machine, of one record and of a round."""
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
    import postgresql_server

    folder = postgresql_server.binaries()
    assert folder, "expected PostgreSQL to be installed"
    rows = []
    for size in (1, 12):
        with postgresql_server.server(folder) as server:
            rows.append(_appends(f"{server.address}/postgres", secs, size))
        print(
            f"64 writers, {size} records each time: {rows[-1]['appends_per_second']:.0f} appends a second; of each the "
            f"database takes {rows[-1]['database_ms']:.2f} ms of CPU, its writer {rows[-1]['writer_ms']:.2f} ms"
        )
    return {"runs": rows}


def _appends(url: str, secs: float, size: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(_WRITING + 1)
    found = context.SimpleQueue()
    arguments = (url, secs, size, begin, found)
    processes = [context.Process(target=_write, args=(number, *arguments)) for number in range(_WRITING)]
    for process in processes:
        process.start()
    begin.wait()
    before = _database_secs()
    counts, spent = zip(*(found.get() for _ in processes), strict=True)
    for process in processes:
        process.join()
    return {
        "records_at_once": size,
        "appends_per_second": sum(counts) / secs,
        "database_ms": 1e3 * (_database_secs() - before) / sum(counts),
        "writer_ms": 1e3 * sum(spent) / sum(counts),
    }


def _write(number: int, url: str, secs: float, size: int, begin: Any, found: Any) -> None:
    """One process's writers; puts the number of appends, and the seconds of processor time that they took."""
    from autotune.testing.records import make_record
    from tuning_logs import open_log

    def write(writer: int) -> int:
        count = 0
        with open_log(url) as log:
            ready.wait()
            end = time.monotonic() + secs
            while time.monotonic() < end:
                first = ((count * _WRITING + number) * _WRITERS + writer) * size
                log.append([make_record(first + place) for place in range(size)])
                count += 1
        return count

    def start() -> None:
        begin.wait()
        started.append(time.process_time())

    ready, started = threading.Barrier(_WRITERS, start), list[float]()
    with ThreadPoolExecutor(_WRITERS) as writers:
        counts = list(writers.map(write, range(_WRITERS)))
    found.put((sum(counts), time.process_time() - started[0]))


def _database_secs() -> float:
    """Processor time of the database's processes, those that have ended included."""
    servers = [one for one in psutil.Process().children() if one.name() == "postgres"]
    spent = [one.cpu_times() for server in servers for one in (server, *server.children())]
    return sum(one.user + one.system + one.children_user + one.children_system for one in spent)


def _memory_bytes() -> int:
    """Proportional memory of this process and its children."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
