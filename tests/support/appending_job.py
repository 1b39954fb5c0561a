"""A job that appends one record after the other and says after each that it is in the log.

Called with the log, the first trial's number and, where there is a limit, the file's largest size in bytes.
Prints `acknowledged N` after each append, and `refused REASON` where the log refuses.
"""

import resource
import signal
import sys
from itertools import count

from search_spaces.config import Config
from search_spaces.errors import AutotuneError
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord


def say(text: str) -> None:
    """Says it before the next record is on its way."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


path, first, *largest = sys.argv[1:]
task = TuningTask(Workload("ab" * 16, "matmul", "module " * 50, 2.0e9), Target.parse("llvm -mcpu=znver4"))
device = DeviceFingerprint("cpu", {"cores": 2, "threads": 2})
job = Job(f"job-from-{first}", 0, "random", "2026-01-01T00:00:00Z")
if largest:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest[0]), int(largest[0])))
try:
    with TuningLog.open(path) as log:
        for trial in count(int(first)):
            config = Config((("tile", (trial, 4)),))
            provenance = Provenance(job, trial, "2026-01-01T00:00:00Z")
            log.append([TuningRecord(task, device, "1", config, Timing((0.1, 0.2), 0.1), None, provenance)])
            say(f"acknowledged {trial}")
except AutotuneError as error:
    say(f"refused {error}")
