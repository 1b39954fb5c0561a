"""What `autotune log` prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas
import pytest

from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import AutotuneError, Misuse
from tuning_logs import DeviceFingerprint, Failure, FailureKind, Timing, TuningLog, TuningRecord

pytestmark = pytest.mark.alone

Run = Callable[..., str]


@pytest.fixture
def run(autotune_here: Run) -> Run:
    """Runs a command of `autotune log`."""
    return partial(autotune_here, "log")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two operators, really tuned on this machine."""
    path = tmp_path_factory.mktemp("tuned") / "log.jsonl"
    device = local_device()
    tasks = tuple(operator_task(f"matmul:{n},32,32", device.target) for n in (16, 48))
    random = SamplerKind.RANDOM
    job = TuningJob(
        tasks, device, Budget(trials=8), 0, 4, sampler=sampler_factory(random), sampler_name=random.value
    )
    with TuningLog.open(path) as log:
        for _ in Tuner(job, log).rounds():
            pass
    return path


@pytest.fixture
def records(tuned: Path) -> list[TuningRecord]:
    return list(TuningLog.read(tuned).iterate())


def write(path: Path, records: list[TuningRecord]) -> Path:
    with TuningLog.open(path) as log:
        log.append(records)
    return path


def with_measurement(record: TuningRecord, measurement: Timing | Failure) -> TuningRecord:
    return TuningRecord(
        record.task, record.device, record.space_version, record.config, measurement, None, record.provenance
    )


def test_show_says_what_is_in_a_log(run: Run, tuned: Path, records: list[TuningRecord]) -> None:
    document = json.loads(run("show", tuned, "--json"))
    assert document["records"] == len(records) >= 10
    assert [row["calls"] for row in document["rows"]] == [1, 1]
    assert sum(row["trials"] for row in document["rows"]) == len(records)
    assert document["devices"][0]["key"] == records[0].device.key
    assert document["jobs"][0]["versions"]["apache-tvm"]
    best = TuningLog.read(tuned).best(records[0].task)
    assert best is not None
    assert document["rows"][0]["best_secs"] == best.secs
    table = run("show", tuned)
    assert all(text in table for text in (records[0].task.name, records[0].device.key, "random, seed 0"))


def test_show_counts_failures_by_kind_and_reports_damage(
    run: Run, tmp_path: Path, records: list[TuningRecord]
) -> None:
    failure = Failure(FailureKind.OUT_OF_MEMORY, "8 GiB")
    path = write(tmp_path / "log.jsonl", [with_measurement(records[0], failure), records[1]])
    with path.open("a") as file:
        file.write("damage\n")
    document = json.loads(run("show", path, "--json"))
    assert document["failures"] == {"out_of_memory": 1}
    assert [damage["reason"] for damage in document["damage"]] == ["it is not a JSON object"]


def test_best_prints_the_fastest_config_of_each_task(
    run: Run, tuned: Path, records: list[TuningRecord]
) -> None:
    rows = list(csv.DictReader(io.StringIO(run("best", tuned, "--csv"))))
    assert len(rows) == 2
    [row] = json.loads(run("best", tuned, "--task", records[0].task.key[:8], "--json"))["rows"]
    best = TuningLog.read(tuned).best(records[0].task)
    assert best is not None
    assert row["best_secs"] == best.secs
    assert row["config"]["sketch"] == best.config.by_name["sketch"]
    with pytest.raises(Misuse, match="found none"):
        run("best", tuned, "--task", "nothing")
    with pytest.raises(Misuse, match="one device"):
        run("best", tuned, "--device", "nothing")


def test_merge_keeps_each_record_once(run: Run, tmp_path: Path, records: list[TuningRecord]) -> None:
    one = write(tmp_path / "one.jsonl", records[:4])
    two = write(tmp_path / "two.jsonl", records[2:])
    merged = json.loads(run("merge", one, two, "-o", tmp_path / "both.jsonl", "--json"))
    assert (merged["records"], merged["duplicates"]) == (len(records), 2)
    assert list(TuningLog.read(tmp_path / "both.jsonl").iterate()) == records
    with pytest.raises(Misuse, match="exists"):
        run("merge", one, two, "-o", tmp_path / "both.jsonl")


def test_compact_keeps_the_best(run: Run, tuned: Path, tmp_path: Path, records: list[TuningRecord]) -> None:
    small = tmp_path / "small.jsonl"
    compacted = json.loads(run("compact", tuned, "--top", 1, "--sample", 1, "-o", small, "--json"))
    log = TuningLog.read(small)
    assert compacted["kept"] == len(log) < len(records)
    for task in log.tasks():
        assert log.best(task) == TuningLog.read(tuned).best(task)


def test_diff_says_what_got_faster_and_what_is_missing(
    run: Run, tmp_path: Path, records: list[TuningRecord]
) -> None:
    slow = [with_measurement(records[0], Timing((0.5, 0.5, 0.6), 0.1)), records[1]]
    fast = [with_measurement(records[0], Timing((0.2, 0.2, 0.3), 0.1))]
    one, two = write(tmp_path / "one.jsonl", slow), write(tmp_path / "two.jsonl", fast)
    document = json.loads(run("diff", one, two, "--json"))
    assert document["changes"] == {"faster": 1, "only in the first": 1}
    assert document["rows"][0]["speedup"] == 2.5
    assert json.loads(run("diff", two, one, "--json"))["changes"] == {"slower": 1, "only in the second": 1}
    assert json.loads(run("diff", one, one, "--json"))["changes"] == {"same": 2}


def test_verify_measures_again(run: Run, tuned: Path, tmp_path: Path, records: list[TuningRecord]) -> None:
    rows = json.loads(run("verify", tuned, "--json"))["rows"]
    assert len(rows) == 2
    assert all(row["drift"] > 0 and row["verdict"] in ("holds", "faster", "slower") for row in rows)
    ten_times = [
        with_measurement(each, Timing(tuple(secs / 1000 for secs in each.measurement.run_secs), 0.1))
        for each in records
        if isinstance(each.measurement, Timing)
    ]
    [row, *_] = json.loads(run("verify", write(tmp_path / "lie.jsonl", ten_times), "--json"))["rows"]
    assert row["verdict"] == "slower"
    assert row["drift"] > 100


def test_rerun_measures_one_record_again_and_leaves_the_log_alone(
    autotune_here: Run, tuned: Path, tmp_path: Path, records: list[TuningRecord]
) -> None:
    before = tuned.read_bytes()
    chosen = next(one for one in records if isinstance(one.measurement, Timing))
    named = f"{chosen.task.key[:16]}/{chosen.config.key[:8]}"
    found = json.loads(autotune_here("rerun", tuned, named, "--json"))
    assert (found["key"], found["config"]) == (chosen.task.key, chosen.config.key)
    assert found["drift"] > 0 and found["verdict"] in ("holds", "faster", "slower")
    shown = autotune_here("rerun", tuned, chosen.task.key)
    assert "recorded" in shown and "times the recorded latency" in shown
    assert tuned.read_bytes() == before
    old = replace(chosen, space_version="tensor-ir-0")
    with pytest.raises(AutotuneError, match="to run as recorded, found build_error"):
        autotune_here("rerun", write(tmp_path / "old.jsonl", [old]), chosen.task.key)


def test_verify_says_which_records_cannot_be_measured(
    run: Run, tmp_path: Path, records: list[TuningRecord]
) -> None:
    elsewhere = DeviceFingerprint("elsewhere", {"threads": 99})
    old, strange = records[0], records[1]
    first = TuningRecord(
        old.task, old.device, "tensor-ir-0", old.config, old.measurement, None, old.provenance
    )
    with pytest.raises(AutotuneError, match="1 failed"):
        run("verify", write(tmp_path / "old.jsonl", [first]))
    other = TuningRecord(
        strange.task,
        elsewhere,
        strange.space_version,
        strange.config,
        strange.measurement,
        None,
        strange.provenance,
    )
    with pytest.raises(Misuse, match="elsewhere"):
        run("verify", write(tmp_path / "other.jsonl", [other]))


def test_a_log_goes_to_metaschedule_and_comes_back(run: Run, tuned: Path, tmp_path: Path) -> None:
    [database] = json.loads(run("export", tuned, tmp_path / "db", "--to", "metaschedule", "--json"))[
        "databases"
    ]
    assert database["records"] == 2
    imported = json.loads(
        run("import", tmp_path / "new.jsonl", tmp_path / "db", "--from", "metaschedule", "--json")
    )
    assert (imported["added"], imported["left_out"]) == (2, {})
    again = json.loads(
        run("import", tmp_path / "new.jsonl", tmp_path / "db", "--from", "metaschedule", "--json")
    )
    assert again["added"] == 0
    log, back = TuningLog.read(tuned), TuningLog.read(tmp_path / "new.jsonl")
    assert {task.key for task in back.tasks()} == {task.key for task in log.tasks()}
    for task in log.tasks():
        ours, theirs = log.best(task), back.best(task)
        assert ours is not None and theirs is not None
        assert (ours.config, ours.device.key, ours.secs) == (theirs.config, theirs.device.key, theirs.secs)


def test_a_log_becomes_a_parquet_table(
    run: Run, tuned: Path, tmp_path: Path, records: list[TuningRecord]
) -> None:
    run("export", tuned, tmp_path / "log.parquet", "--to", "parquet")
    table = pandas.read_parquet(tmp_path / "log.parquet")
    assert table["config"].tolist() == [record.config.key for record in records]
    assert table["secs"].min() == min(record.secs for record in records)
    assert list(table["run_secs"].dropna().iloc[0]) == list(
        next(each.measurement.run_secs for each in records if isinstance(each.measurement, Timing))
    )


def test_records_are_pushed_to_and_pulled_from_a_database(
    run: Run, tuned: Path, tmp_path: Path, records: list[TuningRecord]
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    assert json.loads(run("push", tuned, url, "--json"))["added"] == len(records)
    assert json.loads(run("push", tuned, url, "--json"))["added"] == 0
    assert json.loads(run("show", url, "--json"))["records"] == len(records)
    copy = write(tmp_path / "copy.jsonl", records[:3])
    assert json.loads(run("pull", url, copy, "--json"))["added"] == len(records) - 3
    assert list(TuningLog.read(copy).iterate()) == records
    with pytest.raises(Misuse, match="postgresql://"):
        run("push", tuned, tmp_path / "store.db")


def test_two_formats_at_once_are_misuse(run: Run, tuned: Path) -> None:
    with pytest.raises(Misuse, match="either --json or --csv"):
        run("show", tuned, "--json", "--csv")
