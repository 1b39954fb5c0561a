"""Opening of the workers that an address names."""

from __future__ import annotations

import os
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
    _prepare(address)
    workers = needing("cluster", "autotune.cluster.ray_workers", "to work on a Ray cluster").RayWorkers(
        address
    )
    try:
        yield workers
    finally:
        workers.close()


def _prepare(address: WorkersAddress) -> None:
    """Sets what Ray reads while it is imported or starts: no reports of usage, no lower priority for workers than for
    Ray's own processes, which would disturb measurements, and its token where there is one or can be."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    if address.is_private:
        # By its name for other systems: with it Ray takes the loopback address, else its ports are open to the network.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if address.is_private or named or os.path.exists(os.path.expanduser("~/.ray/auth_token")):
        # Ray's clients do not use a token by themselves.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
