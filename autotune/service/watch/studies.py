"""Studies of operators that pages asked for: one at a time, in a worker process that a hostile log may bring down."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from autotune.service.pages.job_facts import SpaceFacts
from autotune.service.watch.operator_study import study
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from search_spaces import AutotuneError, Config, TuningTask
from tuning_logs import TuningRecord

_TIMEOUT_SECS = 120.0


class Studies:
    """Studies of search spaces, by the place of the operator's page; `version` grows with every study."""

    def __init__(self) -> None:
        self.version = 0
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._begun: set[str] = set()
        self._known: dict[str, SpaceFacts] = {}

    def get(self, link: str) -> SpaceFacts | None:
        """The study of an operator, None where there is none yet."""
        return self._known.get(link)

    def begin(self, link: str, task: TuningTask, records: Sequence[TuningRecord], best: Config) -> None:
        """Has an operator studied, unless it was or is."""
        with self._lock:
            if link in self._begun:
                return
            self._begun.add(link)
        # A daemon, so that the server ends at once, and with it the worker.
        threading.Thread(target=self._study, args=(link, task, records, best), daemon=True).start()

    def _study(self, link: str, task: TuningTask, records: Sequence[TuningRecord], best: Config) -> None:
        with self._turn:
            self._known[link] = _studied(task, records, best)
            self.version += 1


def _studied(task: TuningTask, records: Sequence[TuningRecord], best: Config) -> SpaceFacts:
    try:
        with lasting_worker(WorkerNeeds(study.__module__)) as pool:
            [reply] = pool.map([(Call(study, (task, records, best)), _TIMEOUT_SECS)])
    except AutotuneError as error:
        return SpaceFacts(trouble=str(error))
    if not isinstance(reply, Returned):
        return SpaceFacts(trouble=reply.message)
    found: SpaceFacts = reply.value
    return found
