"""Hostile inputs of every kind against the installed product: kind, inputs tried, failed.

    python benchmarks/edges.py
    python benchmarks/edges.py --kinds terminals paths --workers 1

Modules of `benchmarks/edge_inputs/` that have a function `inputs` give inputs of some kinds; each input is tried in a
folder of its own. One line for each that failed, with what it did, and one a minute with how far it is; then the
table, also after Ctrl-C. Exit code 1 where one failed.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import multiprocessing
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path

import edge_inputs
from edge_inputs.attempt import Attempt

_PROGRESS_SECS = 60.0

#: What processes of the pool inherit, since functions do not travel between processes.
_attempts: list[Attempt] = []


def attempts() -> Iterator[Attempt]:
    """All inputs, module by module."""
    for module in pkgutil.iter_modules(edge_inputs.__path__):
        found = importlib.import_module(f"edge_inputs.{module.name}")
        if hasattr(found, "inputs"):
            yield from found.inputs()


def fault_of(attempt: Attempt) -> str | None:
    """The fault of one input in one line; an exception of the product is one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            return attempt.run(Path(folder))
        except Exception as error:  # noqa: BLE001  what a user would see as a traceback
            return f"{type(error).__name__}: {error}"


def _fault_at(place: int) -> tuple[int, str | None]:
    return place, fault_of(_attempts[place])


def _faults(workers: int) -> Iterator[tuple[int, str | None]]:
    """Places and faults of inputs as they end; a line of progress every minute."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        waiting: set[Future[tuple[int, str | None]]] = {
            pool.submit(_fault_at, place) for place in range(len(_attempts))
        }
        start = told = time.monotonic()
        try:
            while waiting:
                done, waiting = wait(waiting, _PROGRESS_SECS, "FIRST_COMPLETED")
                yield from (one.result() for one in done)
                if time.monotonic() - told >= _PROGRESS_SECS:
                    told = time.monotonic()
                    tried = len(_attempts) - len(waiting)
                    print(f"{told - start:.0f} s: {tried} of {len(_attempts)} tried", flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def main() -> int:
    """Tries the inputs and prints faults and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", help="only these kinds")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="inputs tried at once"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    logging.disable(logging.INFO)  # Optuna tells of every study
    _attempts.extend(one for one in attempts() if not arguments.kinds or one.kind in arguments.kinds)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    try:
        for place, fault in _faults(arguments.workers):
            one = _attempts[place]
            tried[one.kind] += 1
            if fault:
                failed[one.kind] += 1
                print(f"{one.kind}: {one.label}: {fault}", flush=True)
    finally:
        _print_table(list(dict.fromkeys(one.kind for one in _attempts)), tried, failed)
    return 1 if failed else 0


def _print_table(kinds: Sequence[str], tried: Counter[str], failed: Counter[str]) -> None:
    print(f"{'kind':24} {'tried':>6} {'failed':>6}")
    for kind in kinds:
        print(f"{kind:24} {tried[kind]:6} {failed[kind]:6}")
    print(f"{'all':24} {tried.total():6} {failed.total():6}")


if __name__ == "__main__":
    sys.exit(main())
