"""Hostile inputs of every kind against the installed product: kind, inputs tried, failed.

    python benchmarks/edges.py
    python benchmarks/edges.py --kinds terminals paths

Each module of `benchmarks/edge_inputs/` gives inputs of some kinds; each input is tried in a folder of its own. One
line for each that failed, with what it did; then the table. Exit code 1 where one failed.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import edge_inputs
from edge_inputs.attempt import Attempt


def attempts() -> Iterator[Attempt]:
    """All inputs, module by module."""
    for module in pkgutil.iter_modules(edge_inputs.__path__):
        if module.name != "attempt":
            yield from importlib.import_module(f"edge_inputs.{module.name}").inputs()


def fault_of(attempt: Attempt) -> str | None:
    """The fault of one input in one line; an exception of the product is one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            return attempt.run(Path(folder))
        except Exception as error:  # noqa: BLE001  what a user would see as a traceback
            return f"{type(error).__name__}: {error}"


def main() -> int:
    """Tries the inputs and prints faults and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", help="only these kinds")
    arguments = parser.parse_args()
    tried: dict[str, int] = {}
    failed: dict[str, int] = {}
    for attempt in attempts():
        if arguments.kinds and attempt.kind not in arguments.kinds:
            continue
        tried[attempt.kind] = tried.get(attempt.kind, 0) + 1
        if fault := fault_of(attempt):
            failed[attempt.kind] = failed.get(attempt.kind, 0) + 1
            print(f"{attempt.kind}: {attempt.label}: {fault}", flush=True)
    print(f"{'kind':24} {'tried':>6} {'failed':>6}")
    for kind, count in tried.items():
        print(f"{kind:24} {count:6} {failed.get(kind, 0):6}")
    print(f"{'all':24} {sum(tried.values()):6} {sum(failed.values()):6}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
