"""Import of MetaSchedule databases in a process of its own: TVM reads them, and forged ones may bring it down."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from autotune.machine.allowance import read_allowance
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Raised, Returned
from search_spaces import AutotuneError, Misuse
from tuning_logs import DeviceFingerprint
from tuning_logs.exchange.metaschedule_import import Imported, import_metaschedule

_TIMEOUT_SECS: Final = 1800.0
_MEMORY_SHARE: Final = 0.5


def import_apart(
    folder: Path, device: DeviceFingerprint | None, server: ForkServer | None = None
) -> Imported:
    """The records of the databases in a folder, read in a new process; see `import_metaschedule`.

    server: forks it; by default one of its own. Raises Misuse where there is no database, or one that ends the process.
    """
    memory_bytes = int(read_allowance().memory_bytes * _MEMORY_SHARE)
    with WorkerPool(1, WorkerNeeds(__name__), memory_bytes, memory_bytes, server) as pool:
        [reply] = pool.map([(Call(_import, (folder, device)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        fault = f"an error in reading it: {reply.message}" if isinstance(reply, Raised) else reply.message
        raise Misuse(
            f"expected databases that TVM can read in {folder}, found: {fault}; export them again",
            code="AT212",
        )
    if isinstance(reply.value, AutotuneError):
        raise reply.value
    found: Imported = reply.value
    return found


def _import(folder: Path, device: DeviceFingerprint | None) -> Imported | AutotuneError:
    try:
        return import_metaschedule(folder, device)
    except AutotuneError as error:
        return error
