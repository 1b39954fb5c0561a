"""The coordinator of many workers on boards that only pretend, the same job on Ray and on this machine, and faults.

python benchmarks/farm.py                       # throughput, processor time a trial, growth
python benchmarks/farm.py --faults 1000         # random faults: what is lost, what counts twice
python benchmarks/farm.py --kills 100           # the coordinator killed and started again
python benchmarks/farm.py --ray 3               # a real job on a local Ray cluster of two nodes, and without
python benchmarks/farm.py --postgresql 10       # appends per second of 64 writers, for so many seconds
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from farm_crew import ENVIRONMENT, Setting, SocketCrew, start_program

from autotune.builders.artifact import Artifact
from autotune.builders.compile_order import CompileOrder
from autotune.cluster.assignments import Order
from autotune.cluster.cluster_runner import ClusterRunner, OrderLimits
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.parcel import CompileRequest
from autotune.devices.device import Device
from autotune.runners.runner import Outcome, TrialLimits
from autotune.search.samplers import SamplerKind, sampler_factory, without_prior
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import ToySpace
from tuning_logs import DeviceFingerprint, Failure, Timing, TuningLog
from tuning_logs.records.measurement import is_device_lost

KINDS = 3
BUILDERS = 4
BUILD_SECS = 0.002
TRIAL_SECS = 0.05


def device(kind: int) -> Device:
    """The device of one kind of boards."""
    return replace(DEVICE, name=f"kind-{kind}", fingerprint=DeviceFingerprint(f"kind-{kind}", {"kind": kind}))


def artifacts(count: int) -> list[Artifact]:
    """Artifacts of one task with a library of 60 kB, as a kernel's is."""
    folder = Path(tempfile.mkdtemp())
    library = folder / "kernel.so"
    library.write_bytes(os.urandom(60_000))
    space = ToySpace(64)
    [reference] = ToyMachine().build([space.apply(space.default)])
    assert isinstance(reference, Artifact)
    first = replace(reference, library=library, is_reference=True)
    return [first, *(replace(first, is_reference=False) for _ in range(count - 1))]


class Compiling:
    """Compilations that only pretend."""

    request = CompileRequest(CompileOrder("module " * 2000, 1, DEVICE.target, "cc"), 20.0)

    def order(self, _member: Any, _places: Any) -> CompileRequest:
        """See `Work.order`."""
        return self.request

    def judge(self, _member: str, places: Any, value: Any, _secs: float) -> Judgement[Any]:
        """See `Work.judge`."""
        return Judgement({places[0]: value})

    def give_up(self, _place: int, reason: str) -> Any:
        """See `Work.give_up`."""
        raise AssertionError(reason)


@dataclass
class Run:
    """A run of the farm."""

    boards: int
    trials: int
    secs: float
    cpu_secs: float

    @property
    def share(self) -> float:
        """The ideal time over the time that it took."""
        return self.trials * TRIAL_SECS / self.boards / self.secs


def farm(boards: int, trials: int) -> Run:
    """Builds and measures trials on boards of three kinds at once, each kind with a coordinator's thread."""
    kinds = min(KINDS, boards)
    settings = [
        Setting(f"board-{number}", device(number % kinds).fingerprint.key, TRIAL_SECS)
        for number in range(boards)
    ]
    builders = [Setting(f"builder-{number}", "", BUILD_SECS) for number in range(BUILDERS)]
    process, port = start_program([*settings, *builders])
    try:
        builder = Coordinator("builders", SocketCrew(port, builders), ENVIRONMENT)
        runners = [
            ClusterRunner(
                Coordinator(
                    "boards",
                    SocketCrew(port, settings[kind::kinds]),
                    ENVIRONMENT,
                    device(kind).fingerprint.key,
                ),
                device(kind),
            )
            for kind in range(kinds)
        ]
        wanted = [artifacts(len(range(kind, trials, kinds))) for kind in range(kinds)]
        lock = threading.Lock()

        def work(kind: int) -> None:
            mine = wanted[kind]
            # The first are few, so that boards start soon; what follows is built while these are measured.
            chunks = [mine[:48], mine[48:240], mine[240:]]
            built = threading.Thread(target=build, args=(len(chunks[0]),))
            built.start()
            for chunk, following in zip(chunks, [*chunks[1:], []], strict=True):
                built.join()
                built = threading.Thread(target=build, args=(len(following),))
                built.start()
                outcomes = runners[kind].run(chunk)
                assert all(isinstance(one.measurement, Timing) for one in outcomes)
            built.join()

        def build(count: int) -> None:
            with lock:
                builder.carry_out([Order((place,), (20.0,)) for place in range(count)], Compiling())

        threads = [threading.Thread(target=work, args=(kind,)) for kind in range(kinds)]
        started, cpu = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Run(boards, trials, time.monotonic() - started, time.process_time() - cpu)
    finally:
        process.kill()


def throughput() -> dict[str, Any]:
    """Throughput and processor time at several sizes of farm and job."""
    rows = [
        farm(boards, trials) for boards, trials in ((8, 500), (16, 1000), (32, 1000), (32, 2000), (32, 4000))
    ]
    for one in rows:
        print(
            f"{one.boards:3d} boards {one.trials:5d} trials: {one.secs:5.2f} s, {one.share:.1%} of the ideal, "
            f"coordinator {1e3 * one.cpu_secs / one.trials:.2f} ms of CPU a trial"
        )
    return {"runs": [vars(one) | {"share": one.share} for one in rows]}


def faults(count: int) -> dict[str, Any]:
    """Injects faults until so many were met; checks every outcome."""
    key = DEVICE.fingerprint.key
    settings = [
        Setting(f"board-{number}", key, 0.002, 0.0 if number < 2 else 0.15, number) for number in range(12)
    ]
    met: Counter[str] = Counter()
    conditions: Counter[str] = Counter()
    mistakes: Counter[str] = Counter()
    measured = lost = stray = rounds = 0
    limits = OrderLimits(TrialLimits(0.2, 0.5), 0.5)
    while sum(met.values()) < count:
        # Boards that were set aside for good are replaced, so that faults go on.
        process, port = start_program([replace(one, seed=rounds) for one in settings])
        crew = SocketCrew(port, settings)
        coordinator = Coordinator("boards", crew, ENVIRONMENT, key)
        runner = ClusterRunner(coordinator, DEVICE, limits=limits)
        try:
            for _ in range(6):
                batch = artifacts(400)
                outcomes = runner.run(batch)
                assert len(outcomes) == len(batch)
                measured += len(outcomes)
                gone = sum(is_device_lost(one.measurement) for one in outcomes)
                lost += gone
                mistakes.update(_mistake(one) for one in outcomes if not is_device_lost(one.measurement))
        finally:
            met.update(crew.met)
            stray += coordinator.stray_answers
            conditions.update(str(coordinator.roster.standing(one.name).condition) for one in settings)
            runner.close()
            process.kill()
        rounds += 1
    print(f"{sum(met.values())} faults over {measured} candidates: {dict(met)}")
    del mistakes[""]
    print(f"false outcomes: {dict(mistakes)}; given back as lost: {lost}; repeated answers dropped: {stray}")
    print(f"boards ended as: {dict(conditions)}")
    return {
        "faults": dict(met),
        "candidates": measured,
        "false": dict(mistakes),
        "lost": lost,
        "conditions": dict(conditions),
    }


def _mistake(outcome: Outcome) -> str:
    """The kind of a false outcome, empty for a true one."""
    if isinstance(outcome.measurement, Failure):
        return str(outcome.measurement.kind)
    return "" if math.isclose(outcome.measurement.secs, 0.0018) else f"{outcome.measurement.secs:.3g} s"


def coordinate(port: int, log: str, trials: int) -> None:
    """The program that is killed: a job on the boards, which says so once its first round is in the log."""
    settings = [Setting(f"board-{number}", DEVICE.fingerprint.key, 0.01) for number in range(4)]
    space = ToySpace(27720)  # so many configs that they last
    with TuningLog.open(log) as records:
        coordinator = Coordinator("boards", SocketCrew(port, settings), ENVIRONMENT, DEVICE.fingerprint.key)
        job = TuningJob(
            (space.task,),
            DEVICE,
            Budget(trials=trials),
            batch=8,
            space=lambda _task: space,
            sampler=sampler_factory(SamplerKind.RANDOM, without_prior),
            sampler_name="random",
            finals_share=0.0,
            run_prefix="farm-",
        )
        for _ in Tuner(job, records, ToyMachine(), ClusterRunner(coordinator, DEVICE)).rounds():
            print("round", flush=True)
    print("done", flush=True)


def kills(count: int) -> dict[str, Any]:
    """Kills a coordinator at random moments, and looks how long its successor takes to its first round."""
    settings = [Setting(f"board-{number}", DEVICE.fingerprint.key, 0.01) for number in range(4)]
    process, port = start_program(settings)
    log = Path(tempfile.mkdtemp(), "log.jsonl")
    rng, secs = random.Random(0), []
    try:
        for _ in range(count):
            started = time.monotonic()
            command = [
                sys.executable,
                __file__,
                "--coordinate",
                str(port),
                "--log",
                str(log),
                "--trials",
                "1000000",
            ]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert child.stdout is not None
            assert child.stdout.readline() == b"round\n"
            secs.append(time.monotonic() - started)
            time.sleep(rng.uniform(0.0, 0.3))
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        with TuningLog.open(log) as records:
            configs = Counter(one.config for one in records.where())
            found = {
                "kills": count,
                "longest_secs": max(secs),
                "median_secs": statistics.median(secs),
                "records": len(records),
                "twice": sum(number > 1 for number in configs.values()),
                "damage": len(records.damage),
            }
    finally:
        process.kill()
    print(
        f"{count} kills: the next first round after {found['median_secs']:.2f} s (median), "
        f"{found['longest_secs']:.2f} s (longest), {found['records']} records, {found['twice']} configs twice, "
        f"{found['damage']} damaged lines"
    )
    return found


def ray_job(repeats: int) -> dict[str, Any]:
    """A real job on a cluster of two nodes with a processor each, and with this machine's processes, in turns."""
    import ray
    from ray.cluster_utils import Cluster

    from autotune.cluster.address import WorkersAddress
    from autotune.cluster.ray_workers import RayWorkers
    from autotune.devices.device import local_device
    from autotune.models.operators import operator_task
    from autotune.runners.workers import LocalWorkers

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
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
    for repeat in range(repeats):
        for name in ("local", "ray") if repeat % 2 else ("ray", "local"):
            log = TuningLog.in_memory()
            job = TuningJob((task,), here, Budget(trials=96), seed=repeat, batch=16, finals_share=0.0)
            moments = [time.monotonic() for _ in Tuner(job, log).rounds(workers=workers_of[name])]
            rate = 96 / (moments[-1] - moments[0])
            best = log.best(task, here.fingerprint)
            assert best is not None
            rows[name].append((rate, best.secs))
            print(f"{name}: {rate:.2f} trials a second, best {1e6 * best.secs:.1f} µs", flush=True)
    rates = {name: statistics.median(rate for rate, _ in found) for name, found in rows.items()}
    bests = {name: statistics.median(best for _, best in found) for name, found in rows.items()}
    print(
        f"medians of {repeats}: trials a second {rates['ray'] / rates['local']:.3f} of local, "
        f"best latency {bests['ray'] / bests['local']:.3f} of local"
    )
    for workers in workers_of.values():
        workers.close()
    ray.shutdown()
    cluster.shutdown()
    return {"start_secs": start_secs, "start_mib": start_mib, "rows": rows, "rates": rates, "bests": bests}


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


def main() -> None:
    """Runs the measurement that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("faults", "kills", "ray", "postgresql", "coordinate", "trials"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--log")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.coordinate:
        coordinate(chosen.coordinate, chosen.log, chosen.trials)
        return
    if chosen.faults:
        found = faults(chosen.faults)
    elif chosen.kills:
        found = kills(chosen.kills)
    elif chosen.ray:
        found = ray_job(chosen.ray)
    elif chosen.postgresql:
        found = postgresql(chosen.postgresql)
    else:
        found = throughput()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
