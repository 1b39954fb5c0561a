"""Opening of the workers that an address names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autotune.cluster.address import WorkersAddress
from autotune.models.extras import needing
from autotune.runners.workers import Workers


@contextmanager
def open_workers(address: WorkersAddress) -> Iterator[Workers | None]:
    """The workers of an address; None for the processes of this machine, which are opened where they are needed.

    Raises Misuse where the packages of the extra `cluster` are missing, AutotuneError where no cluster answers.
    """
    if address.is_local:
        yield None
        return
    workers = needing("cluster", "autotune.cluster.ray_workers", "to work on a Ray cluster").RayWorkers(
        address
    )
    try:
        yield workers
    finally:
        workers.close()
