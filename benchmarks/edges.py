"""Hostile inputs of every kind against the installed product: kind, inputs tried, failed.

    python benchmarks/edges.py
    python benchmarks/edges.py --kinds terminals paths --workers 1

Modules of `benchmarks/edge_inputs/` that have a function `inputs` give inputs of some kinds; each input is tried in a
folder and a process of its own. One line for each that failed, with what it did, and one a minute with how far it is;
then the table, also after Ctrl-C. Exit code 1 where one failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import edge_inputs
from edge_inputs.attempt import Attempt
from edge_inputs.children import Outcome, outcomes
from edge_inputs.forked import import_heavy

_PROGRESS_SECS = 60.0


def attempts() -> Iterator[Attempt]:
    """All inputs, module by module."""
    for module in pkgutil.iter_modules(edge_inputs.__path__):
        found = importlib.import_module(f"edge_inputs.{module.name}")
        if hasattr(found, "inputs"):
            yield from found.inputs()


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
    chosen: list[Attempt] = []
    tried: list[Outcome] = []
    code = 130
    try:
        import_heavy()
        chosen += (one for one in attempts() if not arguments.kinds or one.kind in arguments.kinds)
        for prepare in {one.prepare for one in chosen if one.prepare}:
            prepare()
        _try_all(chosen, arguments.workers, tried)
        code = 1 if any(one.fault for one in tried) else 0
    except KeyboardInterrupt:
        print(f"interrupted: {len(tried)} of {len(chosen)} tried", flush=True)
    _print_table(list(dict.fromkeys(one.kind for one in chosen)), tried)
    return code


def _try_all(chosen: Sequence[Attempt], workers: int, tried: list[Outcome]) -> None:
    """Adds outcomes as they come, and tells of faults and of progress."""
    start = told = time.monotonic()
    for one in outcomes(chosen, workers):
        tried.append(one)
        if one.fault:
            print(f"{one.attempt.kind}: {one.attempt.label}: {one.fault}", flush=True)
        if time.monotonic() - told >= _PROGRESS_SECS:
            told = time.monotonic()
            print(f"{told - start:.0f} s: {len(tried)} of {len(chosen)} tried", flush=True)


def _print_table(kinds: Sequence[str], tried: Sequence[Outcome]) -> None:
    counts = Counter(one.attempt.kind for one in tried)
    failed = Counter(one.attempt.kind for one in tried if one.fault)
    secs: defaultdict[str, float] = defaultdict(float)
    for one in tried:
        secs[one.attempt.kind] += one.secs
    print(f"{'kind':24} {'tried':>6} {'failed':>6} {'seconds':>8}")
    for kind in kinds:
        print(f"{kind:24} {counts[kind]:6} {failed[kind]:6} {secs[kind]:8.0f}")
    print(f"{'all':24} {counts.total():6} {failed.total():6} {sum(secs.values()):8.0f}")


if __name__ == "__main__":
    sys.exit(main())
