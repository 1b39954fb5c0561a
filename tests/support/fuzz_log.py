"""Feeds bytes of any kind to everything that reads what strangers may send, looking for what is not an AutotuneError.

By hand, for as long as one likes; what it finds is kept by libFuzzer as crash-… in the folder:

    python tests/support/fuzz_log.py -max_total_time=600 [corpus]

It starts from the golden logs. With `-runs=N -seed=S` it does the same every time.
"""

import contextlib
import sys
import tempfile
import zlib
from pathlib import Path

import atheris
from repository import GOLDEN

with atheris.instrument_imports(include=["tuning_logs", "search_spaces"]):
    from search_spaces.errors import AutotuneError
    from tuning_logs import TuningLog
    from tuning_logs.file.index_file import index_path
    from tuning_logs.file.merging import merge

FOLDER = Path(tempfile.mkdtemp(prefix="autotune-fuzz-"))


def with_checksums(data: bytes) -> bytes:
    """The same lines with right checksums, so that what is behind them is reached too."""
    lines = []
    for line in data.splitlines():
        head, found, _ = line.rpartition(b',"crc":"')
        lines.append(head + b',"crc":"%08x"}' % zlib.crc32(head) if found else line)
    return b"\n".join(lines)


def read_everything(data: bytes) -> None:
    """Opens a log and its index, looks everything up, and merges it."""
    kind, data = data[:1], data[1:]
    path = FOLDER / "log.jsonl"
    for each in FOLDER.iterdir():
        each.unlink()
    if kind < b"\x40":
        path.write_bytes(data)
    elif kind < b"\xc0":
        path.write_bytes(with_checksums(data))
    else:
        path.write_bytes(next(GOLDEN.glob("*.jsonl")).read_bytes())
        index_path(path).write_bytes(data)
    with contextlib.suppress(AutotuneError):
        log = TuningLog.read(path)
        records = list(log.iterate())
        assert len(records) == len(log)
        for outcomes in log.trial_counts():
            log.best(outcomes.task, outcomes.device)
        assert repr(list(TuningLog.read(path).iterate())) == repr(records)
    with contextlib.suppress(AutotuneError):
        merge([path], FOLDER / "merged.jsonl")


def main() -> None:
    """Runs the fuzzer; arguments are libFuzzer's."""
    seeds = FOLDER.with_name(FOLDER.name + "-seeds")
    seeds.mkdir()
    for number, golden in enumerate(GOLDEN.glob("*.jsonl")):
        lines = golden.read_bytes().splitlines(keepends=True)
        for kind in (b"\x00", b"\x80"):
            (seeds / f"{number}-{kind[0]}").write_bytes(kind + b"".join(lines[:4] + lines[-1:]))
    atheris.Setup([*sys.argv, str(seeds)], read_everything)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
