"""Feeds bytes of any kind to a reader of files that strangers may send, looking for what is not an AutotuneError.

By hand, for as long as one likes; what it finds is kept by libFuzzer as crash-… in the folder:

    python tests/support/fuzz.py cost_models -max_total_time=600 [corpus]

The targets are the modules of `fuzz_targets`; each has seeds from real files, and reads an input. With
`-runs=N -seed=S` it does the same every time.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

#: Seeds stay whole, also those whose reader runs in a child, where the fuzzer sees no new coverage.
_OPTIONS = ("-keep_seed=1", "-len_control=0")


def main() -> None:
    """Runs a target; the other arguments are libFuzzer's."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["tuning_logs", "search_spaces", "cost_models", "autotune"]):
        target = importlib.import_module(f"fuzz_targets.{name}")
    folder = Path(tempfile.mkdtemp(prefix="autotune-fuzz-"))
    seeds = folder.with_name(folder.name + "-seeds")
    seeds.mkdir()
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)

    def read(data: bytes) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        target.read(data, folder)

    atheris.Setup([sys.argv[0], *_OPTIONS, *options, str(seeds)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
