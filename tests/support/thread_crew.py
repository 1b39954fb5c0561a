"""A crew in this process: what Ray's actors supervise, called by threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any

from autotune.builders.builder import Builder
from autotune.cluster.bench import Bench
from autotune.cluster.cluster_builder import ClusterBuilder
from autotune.cluster.cluster_runner import ClusterRunner
from autotune.cluster.compiler import Compiler
from autotune.cluster.coordinator import Coordinator
from autotune.cluster.crew import Answer, Lost, Member
from autotune.cluster.environment import this_environment
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.runner import Runner


class ThreadCrew:
    """See `autotune.cluster.crew.Crew`. worker: a Compiler or a Bench, closed with the crew."""

    def __init__(self, worker: Compiler | Bench, slots: int, fingerprint: str = "") -> None:
        self._worker = worker
        self._member = Member("here", 1, slots, this_environment(), fingerprint)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def members(self) -> Sequence[Member]:
        return [self._member]

    def send(self, member: str, ticket: int, order: Any) -> None:
        def work() -> None:
            try:
                value = self._worker.carry_out(order)
            except Exception as error:  # noqa: BLE001 - as an actor's is
                value = Lost(str(error))  # type: ignore[assignment]
            self._answers.put(Answer(member, ticket, value))

        threading.Thread(target=work, daemon=True).start()

    def receive(self, wait_secs: float) -> Sequence[Answer]:
        try:
            return [self._answers.get(timeout=wait_secs)]
        except queue.Empty:
            return []

    def pause(self) -> None:
        assert isinstance(self._worker, Compiler)
        self._worker.pause()

    def resume(self) -> None:
        assert isinstance(self._worker, Compiler)
        self._worker.resume()

    def dismiss(self, member: str) -> None:
        raise AssertionError(f"{member} hangs")

    def close(self) -> None:
        self._worker.close()


class ThreadWorkers:
    """See `autotune.runners.workers.Workers`."""

    def reach(self, url: str) -> Device:
        return parse_device(url)

    def open_builder(self, device: Device) -> Builder:
        crew = ThreadCrew(Compiler(1), 1)
        return ClusterBuilder(Coordinator("compilers", crew, this_environment()), device.linker)

    def open_runner(self, device: Device, stopwatch: Stopwatch | None = None) -> Runner:
        key = device.fingerprint.key
        crew = ThreadCrew(Bench(device), 1, key)
        return ClusterRunner(Coordinator("devices", crew, this_environment(), key), device, stopwatch)

    def close(self) -> None:
        pass
