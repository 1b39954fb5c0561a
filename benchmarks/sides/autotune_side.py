"""This project's side of the comparison: one operator, in a process of its own.

    python benchmarks/autotune_side.py --operator matmul:512,512,512 --trials 64 --out result.json

Builder and runner are started first, and it is noted when they were ready: against a MetaSchedule whose start-up is
not counted, ours is not counted either. Started as `autotune tune` is: worker processes load TVM while this one does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from autotune.workers.fork_server import kernel_server
from autotune.workers.program import import_for_good


def main() -> None:
    """Tunes and writes what was found, and when."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operator", required=True)
    parser.add_argument("--device", default="local")
    parser.add_argument("--trials", type=int, default=None)
    parser.add_argument("--secs", type=float, default=None, help="from the start of the process")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--started", type=float, required=True, help="when the process was started (Unix time)"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with kernel_server() as server:
        search = import_for_good("autotune_search").search
        options.out.write_text(json.dumps(search(options, server)))


if __name__ == "__main__":
    main()
