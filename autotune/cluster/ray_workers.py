"""Workers on a Ray cluster, of this machine or of many (imports Ray)."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import ray

from autotune.builders.builder import Builder
from autotune.cluster.address import WorkersAddress
from autotune.cluster.cluster_builder import ClusterBuilder
from autotune.cluster.cluster_runner import ClusterRunner
from autotune.cluster.coordinator import Coordinator
from autotune.cluster.environment import this_environment
from autotune.cluster.layout import Node, Seat, compile_seats, device_seats
from autotune.cluster.lease_book import Booking
from autotune.cluster.ray_actors import BookActor, CompilerActor, DeviceActor
from autotune.cluster.ray_crew import RayCrew
from autotune.cluster.turns import CompilingTurn
from autotune.devices.connection import Clustered, Rpc, parse_connection
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.machine.allowance import read_allowance
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.factory import open_runner
from autotune.runners.runner import Runner
from autotune.workers.closeable import Closeable
from search_spaces.errors import AutotuneError

_NAMESPACE = "autotune"
_HERE = "local"
_REACH_SECS = 120.0
_BOOK = "autotune-bookings"
_BOOK_SECS = 10.0
_ATTEMPTS = 3
# Artifacts are small; the rest of the memory is the candidates'.
_STORE_BYTES = 200 << 20


class RayWorkers(Closeable):
    """Compiles on all nodes of a cluster, and measures on those that have a device.

    The device `local` is measured where a node has the resource `device:local`, `ray:NAME` where one has `device:NAME`;
    boards (rpc://…) are reached from this process. A cluster of this machine starts here and ends with `close`.
    """

    def __init__(self, address: WorkersAddress) -> None:
        self._turns = threading.Lock()
        self._is_private = address.is_private
        self._job = f"{socket.gethostname()}:{os.getpid()}"
        self._book: Any = None
        # A program that is connected already may go on in that cluster.
        self._owns_connection = not (address.is_private and ray.is_initialized())
        if self._owns_connection:
            _connect(address)

    def reach(self, url: str) -> Device:
        """See `Workers.reach`."""
        via = parse_connection(url)
        if not isinstance(via, Clustered):
            return parse_device(url)
        seats = device_seats(_nodes(), via.name)
        if not seats:
            raise self._no_device(via.name)
        actor_class: Any = DeviceActor
        actor = actor_class.options(resources=dict(seats[0].resources), num_cpus=0).remote(via.there)
        try:
            found: Device = ray.get(actor.describe.remote(via), timeout=_REACH_SECS)
            return found
        except ray.exceptions.RayError as error:
            raise AutotuneError(
                f"expected the device {via.name!r} of the cluster to answer, found: {str(error).strip()[-500:]}",
                code="AT751",
            ) from error
        finally:
            ray.kill(actor)

    def open_builder(self, device: Device) -> Builder:
        """See `Workers.open_builder`."""
        crew = RayCrew(lambda _: compile_seats(_nodes())[0], CompilerActor, lambda seat: (seat.slots,))
        coordinator = Coordinator("compilers", crew, this_environment())
        coordinator.wait_for_members()
        turns = CompilingTurn(self._turns, crew) if _takes_turns() else None
        return ClusterBuilder(coordinator, device.linker, turns=turns)

    def open_runner(self, device: Device, stopwatch: Stopwatch | None = None) -> Runner:
        """See `Workers.open_runner`."""
        via = device.via
        if isinstance(via, Rpc):
            return open_runner(device, stopwatch)
        name, there = (via.name, via.there) if isinstance(via, Clustered) else (_HERE, device.connection)
        if not device_seats(_nodes(), name):
            raise self._no_device(name)
        crew = RayCrew(partial(self._leased_seats, name), DeviceActor, lambda _seat: (there,))
        coordinator = Coordinator(f"devices {name!r}", crew, this_environment(), device.fingerprint.key)
        coordinator.wait_for_members()
        turns = self._turns if _takes_turns() else None
        return ClusterRunner(coordinator, device, stopwatch, turns=turns)

    def close(self) -> None:
        """Leaves the cluster, or ends it where it was started here."""
        if self._book is not None:
            with suppress(ray.exceptions.RayError):
                ray.get(self._book.give_back.remote(self._job), timeout=_BOOK_SECS)
        if self._owns_connection:
            ray.shutdown()

    def devices(self) -> list[tuple[str, Seat, Booking | None]]:
        """The devices of the cluster by name, each with its seat, and its booking where a job has it.

        Raises AutotuneError where the book does not answer.
        """
        bookings = {one.unit: one for one in self._bookings()}
        nodes = _nodes()
        names = sorted({device for node in nodes for device in node.devices})
        return [(name, seat, bookings.get(seat.name)) for name in names for seat in device_seats(nodes, name)]

    def _bookings(self) -> list[Booking]:
        """The leases of the book, which is started anew elsewhere where its node was lost."""
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                found: list[Booking] = ray.get(self._open_book().bookings.remote(), timeout=_BOOK_SECS)
                return found
            except ray.exceptions.RayError as error:
                reason = str(error).strip()[-500:]
                time.sleep(1.0)
        raise AutotuneError(
            f"expected the cluster's book of leases to answer, found: {reason}; ask again", code="AT752"
        )

    def _leased_seats(self, name: str, held: Sequence[str]) -> list[Seat]:
        """The seats of devices that this job has now; those that it had where the book does not answer."""
        seats = device_seats(_nodes(), name)
        if self._is_private:
            return seats
        try:
            book = self._open_book()
            units = [seat.name for seat in seats]
            granted = ray.get(book.refresh.remote(self._job, name, units, held), timeout=_BOOK_SECS)
        except ray.exceptions.RayError:
            granted = held
        return [seat for seat in seats if seat.name in granted]

    def _open_book(self) -> Any:
        if self._book is None:
            book: Any = BookActor
            self._book = book.options(name=_BOOK, lifetime="detached", get_if_exists=True).remote()
        return self._book

    def _no_device(self, name: str) -> AutotuneError:
        known = sorted({device for node in _nodes() for device in node.devices})
        return AutotuneError(
            f"expected a node of the cluster with the resource 'device:{name}', found "
            f"{', '.join(known) or 'no devices at all'}; start one there with ray start --address=… "
            f"--resources='{{\"device:{name}\": 1}}', or name another device as in --device ray:NAME",
            code="AT751",
        )


def _connect(address: WorkersAddress) -> None:
    """Starts a cluster of this machine, on loopback, or connects to another. Raises AutotuneError where that fails."""
    try:
        if address.is_private:
            ray.init(
                address="local",
                num_cpus=read_allowance().compilers,
                resources={f"device:{_HERE}": 1},
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
            )
        else:
            _join(address.text)
    # Ray raises its own errors, of the system and of grpc for clusters that do not answer.
    except Exception as error:
        raise AutotuneError(
            f"expected a Ray cluster at {address.text}, found: {' '.join(str(error).split())[-500:]}; see that it runs "
            f"there, with Ray {ray.__version__}",
            code="AT752",
        ) from error


def _join(address: str) -> None:
    """Connects to a running cluster, whose server for clients fails at times while others connect."""
    for attempt in range(_ATTEMPTS):
        try:
            ray.init(address=address, namespace=_NAMESPACE, log_to_driver=False, configure_logging=False)
            return
        # A refusal is raised as many types, of which a last one is told.
        except Exception:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(1.0)


def _takes_turns() -> bool:
    """Whether nodes compile and measure, of which one at a time may go on."""
    return compile_seats(_nodes())[1]


def _nodes() -> list[Node]:
    """The nodes that are alive, in the order of their ids, so that all processes see them alike."""
    return [
        Node(
            one["NodeID"],
            one["NodeManagerAddress"],
            int(one["Resources"].get("CPU", 0)),
            {name: float(count) for name, count in one["Resources"].items()},
        )
        for one in sorted(ray.nodes(), key=lambda one: str(one["NodeID"]))
        if one["Alive"]
    ]
