"""A job that appends records to a store, one batch after the other: address, job's name, how many batches."""

import sys

from search_spaces.config import Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningRecord
from tuning_logs.sql.sql_log import SqlLog

url, name, batches = sys.argv[1:]
tasks = [TuningTask(Workload(f"{n:032x}", f"op-{n}", "module", 1.0), Target.parse("llvm")) for n in range(9)]
if name.endswith("1"):
    tasks.reverse()
device = DeviceFingerprint("cpu", {"cores": 2})
job = Job(name, 0, "random", "2026-01-01T00:00:00Z")
with SqlLog.open(url) as log:
    for batch in range(int(batches)):
        log.append(
            [
                TuningRecord(
                    task,
                    device,
                    "1",
                    Config((("tile", (batch, number)),)),
                    Timing((0.1,), 0.1),
                    None,
                    Provenance(job, batch * len(tasks) + number, "2026-01-01T00:00:00Z"),
                )
                for number, task in enumerate(tasks)
            ]
        )
