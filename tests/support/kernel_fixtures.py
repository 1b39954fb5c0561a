"""Fixture: one server of worker processes for all builders and runners of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from autotune.workers.fork_server import ForkServer


@pytest.fixture(scope="session")
def kernels() -> Iterator[ForkServer]:
    """Forks workers from a process that has loaded TVM."""
    from autotune.workers.fork_server import kernel_server

    with kernel_server() as server:
        yield server
