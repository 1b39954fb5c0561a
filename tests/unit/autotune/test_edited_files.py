"""Text files that people edit read the same with a byte-order mark, other line ends, and empty lines at the end."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from comparison_fixtures import make_comparison, make_row
from farm_keys import make_farm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples
from literal_texts import literal_status
from repository import GOLDEN

from autotune.cluster.farm_file import read_farm
from autotune.comparison.capacity_rates import read_capacity
from autotune.comparison.result_file import read_comparison
from autotune.devices.device_card import read_device_card
from autotune.devices.device_file import read_devices
from autotune.jobs.job_file import read_job_file
from autotune.jobs.status_file import read_status
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.serving_setup import ServingSetup
from autotune.transport.authority import read_authority
from autotune.transport.identity import read_validity
from search_spaces.errors import AutotuneError
from search_spaces.tabular_space import TabularSpace
from tuning_logs import TuningLog

JOB = """# Größe
log = "nächte.jsonl"
budget = { trials = 1, time = "5m" }
dashboard = "sqlite:///studies.db"

[[models]]
path = "net.onnx"
name = '''two
lines'''
latency_ms = 5
"""
DEVICES = """[[device]]
name = "Büro"
connection = "rpc://127.0.0.1:1/pi4"
target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
price_per_hour = 0.02
"""
FARM = """name = "lab"
image = "images.example/autotune:0.2.0"
job = "jobs.toml"

[[machines]]
name = "builders"
cpus = 16
memory_gb = 32
"""
CARD = {"target": "llvm -num-cores=2", "connection": "local", "facts": {"cpu_model": "Prozessor"}}
TABLE = "block,status,mean_ms,cost_s\n16,ok,2.0,3.0\n32,failed,,0.5\n"


COMPARISON = make_comparison([make_row("autotune", [0.003]), make_row("größte", [0.001])])
CAPACITY = CapacityResult(
    *(
        "net.so",
        "Prozessor µ",
        "local",
        2,
        0.03,
        ServingSetup(2, 1, 1),
        100.0,
        120.0,
        140.0,
        130.0,
        None,
        0.0,
        None,
    ),
    *((), (), (), 0.0, 60.0),
)
Read = Callable[[Path], object]


def _lines(document: object) -> str:
    """A document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def _records(path: Path) -> list[str]:
    log = TuningLog.read(path)
    assert not log.damage
    return [repr(one) for one in log.iterate()]


#: Names of files, with their texts and what reads them.
FILES: dict[str, tuple[str, Read]] = {
    "jobs.toml": (JOB, read_job_file),
    "devices.toml": (DEVICES, read_devices),
    "farm.toml": (FARM, read_farm),
    "card.json": (_lines(CARD), read_device_card),
    "comparison.json": (_lines(COMPARISON), read_comparison),
    "capacity.json": (_lines(CAPACITY), read_capacity),
    "status.json": (_lines(literal_status("ü")), lambda path: read_status(path.parent)),
    "table.csv": (TABLE, lambda path: TabularSpace(path).table),
    "log.jsonl": ((GOLDEN / "tuning_log_1.4.jsonl").read_text("utf-8"), _records),
}


@examples(12)
@given(st.booleans(), st.sampled_from(["\n", "\r\n"]), st.integers(0, 2))
@pytest.mark.parametrize("name", FILES)
def test_marks_and_line_ends_change_nothing(name: str, has_mark: bool, end: str, empty_lines: int) -> None:
    text, read = FILES[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        (path.parent / "net.onnx").touch()
        path.write_text(text, "utf-8", newline="\n")
        expected = read(path)
        edited = text.rstrip("\n").replace("\n", end) + end * (1 + empty_lines)
        path.write_bytes(codecs.BOM_UTF8 * has_mark + edited.encode())
        assert read(path) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("name", [name for name in FILES if name not in ("log.jsonl", "status.json")])
def test_other_encodings_are_refused_in_a_sentence(name: str, encoding: str, tmp_path: Path) -> None:
    text, read = FILES[name]
    (tmp_path / name).write_bytes(f"{text}# ü".encode(encoding))
    with pytest.raises(AutotuneError, match="UTF"):
        read(tmp_path / name)


def test_keys_and_identities_of_a_farm_may_be_edited(tmp_path: Path) -> None:
    farm = make_farm(tmp_path)
    authority, validity = read_authority(farm.authority), read_validity(farm.pi4)
    for path in tmp_path.rglob("*.json"):
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b",", b",\r\n"))
    found = read_authority(farm.authority)
    assert (found.tracker_token, found.farm_token) == (authority.tracker_token, authority.farm_token)
    assert read_validity(farm.pi4) == validity
