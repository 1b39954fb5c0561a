"""Engines with a fault each, for worker processes: found by entry points that a test adds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np

from autotune.models.extras import needing
from autotune.models.onnx_file import Shape


@dataclass(frozen=True)
class _Faulty:
    path: Path
    shapes: tuple[tuple[str, Shape], ...]
    threads: int
    name: str = "faulty"


class Crashing(_Faulty):
    """Runs twice, then dies of a broken pointer."""

    def open(self) -> Callable[..., Any]:
        calls: list[int] = []

        def run(*inputs: Any) -> Any:
            calls.append(1)
            if len(calls) > 2:
                os.kill(os.getpid(), signal.SIGSEGV)
            return np.zeros((1, 32), np.float32)

        return run


class Hanging(_Faulty):
    """Never returns from its first run."""

    def open(self) -> Callable[..., Any]:
        return lambda *inputs: time.sleep(1000)


class Wrong(_Faulty):
    """Returns ones, at once."""

    def open(self) -> Callable[..., Any]:
        return lambda *inputs: np.ones((1, 32), np.float32)


class Missing(_Faulty):
    """Needs a package that nobody has."""

    def open(self) -> Callable[..., Any]:
        needing("bench", "no_such_package_at_all", "to run a model in it")
        raise AssertionError


class Heavy(_Faulty):
    """Holds 300 MB, and sleeps 5 ms a run."""

    def open(self) -> Callable[..., Any]:
        held = np.ones(300_000_000 // 8)

        def run(*inputs: Any) -> Any:
            time.sleep(0.005)
            return np.zeros((1, 32), np.float32) + held[0]

        return run


def refused(path: Path, shapes: tuple[tuple[str, Shape], ...], threads: int) -> Any:
    """A factory that fails before there is an engine."""
    raise LookupError(f"no room for {path.name}\non {threads} threads")


def entry_points_of(*names: str) -> list[EntryPoint]:
    return [EntryPoint(name.lower(), f"faulty_engines:{name}", "autotune.engines") for name in names]
