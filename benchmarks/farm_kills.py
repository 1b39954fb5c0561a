"""A coordinator that is killed at random moments, and the time until its successor's first round."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from farm_crew import ENVIRONMENT, Setting, SocketCrew, start_program

from autotune.cluster.cluster_runner import ClusterRunner
from autotune.cluster.coordinator import Coordinator
from autotune.search.samplers import SamplerKind, sampler_factory, without_prior
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import ToySpace
from tuning_logs import TuningLog

WITHIN_SECS = 5.0


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
            command = [sys.executable, __file__, str(port), str(log), "1000000"]
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
                "late": sum(one > WITHIN_SECS for one in secs),
                "records": len(records),
                "twice": sum(number > 1 for number in configs.values()),
                "damage": len(records.damage),
            }
    finally:
        process.kill()
    print(
        f"{count} kills: the next first round after {found['median_secs']:.2f} s (median), "
        f"{found['longest_secs']:.2f} s (longest), {found['late']} after more than {WITHIN_SECS:g} s, "
        f"{found['records']} records, {found['twice']} configs twice, "
        f"{found['damage']} damaged lines"
    )
    return found


if __name__ == "__main__":
    coordinate(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
