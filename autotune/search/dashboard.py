"""A job's trials copied into an Optuna storage, for optuna-dashboard (imports Optuna).

The job never reads them: its log is the only truth.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import optuna
import sqlalchemy
from optuna.trial import TrialState, create_trial

from autotune.search.task_study import as_params
from autotune.workers.closeable import Closeable
from search_spaces import IllegalSchedule, Misuse, SearchSpace, TuningTask
from tuning_logs import Failure, TuningRecord
from tuning_logs.address import without_password

# What the storage may still take for what is waiting once the job has ended.
_CLOSING_SECS = 30.0


class Dashboard(Closeable):
    """One study for each task and device, named after both and the job; a thread opens the storage and writes to it: it
    takes tens of milliseconds for a trial, or for ever.

    trouble: the storage's error, None without one. The job continues without the dashboard.
    """

    def __init__(self, url: str, job: str, space: Callable[[TuningTask], SearchSpace]) -> None:
        """space: makes a task's space. Raises Misuse where the URL is that of no kind of storage."""
        try:
            address = sqlalchemy.make_url(url)
            address.get_dialect()
        except Exception as error:  # whatever plug-ins of SQLAlchemy make of a URL
            raise Misuse(
                f"expected the URL of an Optuna storage, as sqlite:///studies.db; found "
                f"{without_password(url)!r}: {error}",
                code="AT506",
            ) from error
        self._url = url
        self._name = address.render_as_string(hide_password=True)
        self.trouble: str | None = None
        self._is_closed = False
        self._job = job
        self._space = space
        self._spaces: dict[str, SearchSpace] = {}
        self._studies: dict[str, optuna.Study] = {}
        self._known: dict[str, set[str]] = {}
        self._waiting: queue.Queue[TuningRecord | None] = queue.Queue()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def add(self, records: Sequence[TuningRecord]) -> None:
        """Queues records; those that the storage has already are not added again."""
        if self.trouble is None:
            for record in records:
                self._waiting.put(record)

    def close(self) -> None:
        """Waits until all queued records are in the storage, for half a minute at most; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._waiting.put(None)
        self._thread.join(_CLOSING_SECS)
        if self._thread.is_alive():
            self._note(f"it did not take the last trials within {_CLOSING_SECS:g} s")

    def _copy(self) -> None:
        try:
            storage = optuna.storages.get_storage(self._url)
            while (record := self._waiting.get()) is not None:
                self._add(storage, record)
        except Exception as error:  # noqa: BLE001 - no trouble with a mirror may end the job
            self._note(str(error))

    def _note(self, trouble: str) -> None:
        lines = trouble.strip().splitlines() or ["it failed"]
        self.trouble = f"the dashboard's storage {self._name} takes no more: {lines[0]}"

    def _add(self, storage: optuna.storages.BaseStorage, record: TuningRecord) -> None:
        device = f"{record.device.name} {record.device.key[:8]}"
        name = f"{self._job} · {record.task.name} {record.task.key[:8]} on {device}"
        if name not in self._studies:
            study = optuna.create_study(
                storage=storage, study_name=name, direction="minimize", load_if_exists=True
            )
            trials = study.get_trials(deepcopy=False)
            self._studies[name] = study
            self._known[name] = {str(trial.user_attrs.get("record")) for trial in trials}
        identity = f"{record.provenance.job.id}/{record.provenance.trial}"
        if identity in self._known[name]:
            return
        self._known[name].add(identity)
        task = record.task
        if task.key not in self._spaces:
            self._spaces[task.key] = self._space(task)
        try:
            params, distributions = as_params(self._spaces[task.key], record.config)
        except IllegalSchedule:
            return  # of another version of the space
        failure = record.measurement if isinstance(record.measurement, Failure) else None
        attrs = {
            "record": identity,
            "failure": f"{failure.kind}: {failure.message}"[:2000] if failure else None,
        }
        self._studies[name].add_trial(
            create_trial(
                state=TrialState.FAIL if failure else TrialState.COMPLETE,
                value=None if failure else record.secs,
                params=params,
                distributions=distributions,
                user_attrs=attrs,
            )
        )
