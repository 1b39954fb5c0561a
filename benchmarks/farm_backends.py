"""A job on a Ray cluster of this machine beside a plain one, and appends to its PostgreSQL."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from tuning_logs import TuningLog


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
    """Appends per second of 64 writers, one record each time, to a database of this machine."""
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
    import postgresql_server

    folder = postgresql_server.binaries()
    assert folder, "expected PostgreSQL to be installed"
    with postgresql_server.server(folder) as server:
        found = _appends(f"{server.address}/postgres", secs)
    print(f"64 writers: {found:.0f} appends a second")
    return {"appends_per_second": found}


def _appends(url: str, secs: float) -> float:
    from autotune.testing.records import make_record
    from tuning_logs import open_log

    counts = [0] * 64
    end = time.monotonic() + secs

    def write(number: int) -> None:
        with open_log(url) as log:
            while time.monotonic() < end:
                log.append([make_record(counts[number] * 64 + number)])
                counts[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / secs


def _memory_bytes() -> int:
    """Proportional memory of this process and its children."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
