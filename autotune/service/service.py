"""The parts of a running service, opened together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.service.bookings import BookingDocument, no_bookings
from autotune.service.database import open_database
from autotune.service.job_list import JobList
from autotune.service.job_queue import JobQueue
from autotune.service.known_devices import KnownDevice
from autotune.service.limits import ServiceLimits
from autotune.service.model_shelf import ModelShelf
from autotune.service.packages import Packages
from autotune.service.service_folder import ServiceFolder
from autotune.service.sessions import Sessions
from autotune.service.tokens import Tokens
from autotune.service.uploads import Uploads
from autotune.service.usage import UsageCounter
from tuning_logs.sql.sql_store import SqlStore


def _no_devices() -> tuple[KnownDevice, ...]:
    return ()


@dataclass(frozen=True)
class Access:
    """Rules of access: hosts that requests may name, and whether those from loopback need no token."""

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    allows_anonymous: bool = False


@dataclass(frozen=True)
class Service:
    """A service: its folder and store, and what is kept in them.

    devices: of which jobs can name each; bookings: of those of the cluster that jobs share.
    """

    folder: ServiceFolder
    store: SqlStore
    limits: ServiceLimits
    tokens: Tokens
    sessions: Sessions
    usage: UsageCounter
    shelf: ModelShelf
    uploads: Uploads
    queue: JobQueue
    jobs: JobList
    packages: Packages
    access: Access = field(default_factory=Access)
    devices: Callable[[], tuple[KnownDevice, ...]] = _no_devices
    bookings: Callable[[], tuple[BookingDocument, ...]] = no_bookings


def open_service(
    folder: ServiceFolder,
    url: str | None = None,
    limits: ServiceLimits | None = None,
    access: Access | None = None,
    devices: Callable[[], tuple[KnownDevice, ...]] = _no_devices,
) -> Service:
    """Opens the store of a service. Raises StorageError and Misuse as `open_database` does."""
    limits = limits or ServiceLimits()
    folder.make()
    store = open_database(folder.path, url)
    shelf = ModelShelf(store, folder)
    queue = JobQueue(store)
    tokens = Tokens(store)
    return Service(
        folder,
        store,
        limits,
        tokens,
        Sessions(store, tokens),
        UsageCounter(store),
        shelf,
        Uploads(store, folder, shelf, limits),
        queue,
        JobList(store, queue, limits.slots),
        Packages(store, folder),
        access or Access(),
        devices,
    )
