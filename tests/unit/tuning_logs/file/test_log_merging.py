"""Logs are put together without losing or doubling anything, and made small without losing what is best."""

import json
import zlib
from dataclasses import replace

import pytest

from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import Failure, FailureKind, Timing, TuningLog
from tuning_logs.exchange.transfer import copy_records
from tuning_logs.file.compacting import compact
from tuning_logs.file.merging import merge
from tuning_logs.selection.difference import Change, differences


def write(path, *batches):
    for batch in batches:
        with TuningLog.open(path) as log:
            log.append(batch)
    return path


def records_of(path):
    log = TuningLog.read(path)
    assert log.damage == ()
    return list(log.iterate())


def test_merging_is_cat_without_what_is_there_twice(tmp_path, record):
    one = write(tmp_path / "one.jsonl", [record(0), record(1, workload="conv2d")], [record(2, threads=8)])
    two = write(tmp_path / "two.jsonl", [record(1, workload="conv2d"), record(3, job="job-2"), record(0)])
    merged = merge([one, two, one], tmp_path / "deep" / "both.jsonl")
    assert (merged.records, merged.duplicates, merged.damage) == (4, 5, {})
    found = records_of(tmp_path / "deep" / "both.jsonl")
    assert found == [record(0), record(1, workload="conv2d"), record(2, threads=8), record(3, job="job-2")]
    cat = tmp_path / "cat.jsonl"
    cat.write_bytes(one.read_bytes() + two.read_bytes())
    assert list(dict.fromkeys(records_of(cat))) == found
    assert [each.name for each in tmp_path.glob("deep/*")] == ["both.jsonl"]


def test_different_measurements_of_a_config_stay_as_repeats(tmp_path, record):
    one = write(tmp_path / "one.jsonl", [record(0, measurement=Timing((0.1,), 0.1))])
    two = write(tmp_path / "two.jsonl", [record(0, measurement=Timing((0.3,), 0.1), job="job-2")])
    merge([one, two], tmp_path / "both.jsonl")
    best = TuningLog.read(tmp_path / "both.jsonl").best(record(0).task)
    assert best.measurement.run_secs == (0.1, 0.3)


def test_records_keep_the_definitions_of_their_own_log(tmp_path, record):
    ours = record(0)
    theirs = replace(record(1), device=replace(ours.device, name="theirs"))
    one, two = write(tmp_path / "one.jsonl", [ours]), write(tmp_path / "two.jsonl", [theirs])
    merge([one, two, write(tmp_path / "three.jsonl", [record(2)])], tmp_path / "all.jsonl")
    names = [each.device.name for each in records_of(tmp_path / "all.jsonl")]
    assert names == [ours.device.name, "theirs", ours.device.name]


def test_what_cannot_be_read_is_reported_and_left_out(tmp_path, record):
    one = write(tmp_path / "one.jsonl", [record(0)])
    whole = write(tmp_path / "whole.jsonl", [record(1)]).read_bytes()
    with one.open("ab") as file:
        file.write(b"damage\n" + whole.splitlines()[-1][:50] + whole)
    merged = merge([one], tmp_path / "both.jsonl")
    assert records_of(tmp_path / "both.jsonl") == [record(0), record(1)]
    assert [damage.line for damage in merged.damage[one]] == [5, 6]


def test_lines_that_only_a_newer_version_knows_are_kept(tmp_path, record):
    one = write(tmp_path / "one.jsonl", [record(0)])
    head = json.dumps({"schema": "1.7", "kind": "weather", "sky": "blue"}, separators=(",", ":"))[
        :-1
    ].encode()
    line = head + b',"crc":"%08x"}\n' % zlib.crc32(head)
    with one.open("ab") as file:
        file.write(line)
    merge([one, one], tmp_path / "both.jsonl")
    assert (tmp_path / "both.jsonl").read_bytes().count(line) == 1


def test_a_merge_that_cannot_be_done_leaves_nothing_behind(tmp_path, record):
    one = write(tmp_path / "one.jsonl", [record(0)])
    other = tmp_path / "other.txt"
    other.write_text("no log\n")
    newer = tmp_path / "newer.jsonl"
    head = b'{"schema":"2.0","kind":"record"'
    newer.write_bytes(head + b',"crc":"%08x"}\n' % zlib.crc32(head))
    for bad, error, says in (
        (other, Misuse, "another kind"),
        (newer, AutotuneError, "newer version"),
        (tmp_path / "missing.jsonl", Misuse, "No such file"),
    ):
        with pytest.raises(error, match=says):
            merge([one, bad], tmp_path / "both.jsonl")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["newer.jsonl", "one.jsonl", "other.txt"]


def test_compacting_keeps_the_best_the_first_and_a_spread_of_the_rest(tmp_path, record):
    measured = [
        record(n, tile=(n, 1), measurement=Timing(((100 - n) / 100, (101 - n) / 100), 0.1)) for n in range(90)
    ]
    failed = [
        record(100 + n, tile=(100 + n, 1), measurement=Failure(FailureKind.BUILD_ERROR, "no"))
        for n in range(30)
    ]
    again = record(200, tile=(89, 1), measurement=Timing((0.13,), 0.1))
    path = write(tmp_path / "log.jsonl", [*measured, *failed, again])
    result = compact(path, tmp_path / "small.jsonl", top=3, sample=10)
    kept = records_of(tmp_path / "small.jsonl")
    assert (result.kept, result.records) == (len(kept), 121)
    trials = [each.provenance.trial for each in kept]
    assert trials[0] == 0, "the first record is the baseline"
    assert {87, 88, 89, 200} <= set(trials), "the best three, and all there is of them"
    assert sum(each.secs == float("inf") for each in kept) == 2
    middle = [
        each.secs for each in kept if each.provenance.trial not in (0, 87, 88, 89, 200) and each.secs < 9
    ]
    assert len(middle) in (7, 8)
    assert max(middle) > 0.85
    assert min(middle) < 0.2
    task = record(0).task
    assert TuningLog.read(tmp_path / "small.jsonl").best(task) == TuningLog.read(path).best(task)


def test_a_config_that_was_wrong_stays_out_after_compacting(tmp_path, record):
    wrong = [
        record(0, tile=(1, 1), measurement=Timing((0.1,), 0.1)),
        record(1, tile=(2, 1), measurement=Timing((0.5,), 0.1)),
        record(2, tile=(1, 1), measurement=Failure(FailureKind.WRONG_RESULT, "off")),
        record(3, tile=(3, 1), threads=8, measurement=Timing((0.2,), 0.1)),
    ]
    path = write(tmp_path / "log.jsonl", wrong)
    compact(path, tmp_path / "small.jsonl", top=1, sample=0)
    small = TuningLog.read(tmp_path / "small.jsonl")
    assert small.best(wrong[0].task, wrong[0].device) == wrong[1]
    assert small.best(wrong[0].task, wrong[3].device) == wrong[3]
    with pytest.raises(Misuse, match="exists"):
        compact(path, tmp_path / "small.jsonl", top=1, sample=0)
    with pytest.raises(Misuse, match="at least one"):
        compact(path, tmp_path / "other.jsonl", top=0, sample=0)


def test_differences_tell_noise_from_news(record):
    def log(*batch):
        made = TuningLog.in_memory()
        made.append(list(batch))
        return made

    before = log(
        record(0, measurement=Timing((1.0, 1.1, 1.2), 0.1)),
        record(1, workload="conv2d", measurement=Timing((1.0, 1.1, 1.2), 0.1)),
        record(2, workload="softmax"),
        record(3, workload="never ran", measurement=Failure(FailureKind.RUN_ERROR, "no")),
    )
    after = log(
        record(0, measurement=Timing((0.5, 0.6), 0.1)),
        record(1, workload="conv2d", measurement=Timing((1.0, 1.05, 1.3), 0.1)),
        record(2, workload="dense"),
    )
    found = {each.task.name: each.change for each in differences(before, after)}
    assert found == {
        "matmul": Change.FASTER,
        "conv2d": Change.SAME,
        "softmax": Change.LOST,
        "dense": Change.GAINED,
    }
    assert {each.change for each in differences(after, before)} >= {Change.SLOWER}


def test_copying_again_adds_nothing(record):
    source, into = TuningLog.in_memory(), TuningLog.in_memory()
    source.append([record(0), record(1), record(1)])
    into.append([record(1)])
    assert copy_records(source, into) == 1
    assert copy_records(source, into) == 0
    assert sorted(each.provenance.trial for each in into.iterate()) == [0, 1]


def test_outcomes_count_every_way_a_trial_may_end(record):
    log = TuningLog.in_memory()
    log.append(
        [
            record(0),
            record(1, threads=8, measurement=Failure(FailureKind.RUN_TIMEOUT, "slow")),
            record(2, measurement=Timing((0.1,), 0.1, censored=True)),
            record(3, measurement=Failure(FailureKind.WRONG_RESULT, "off")),
            record(4),
        ]
    )
    here, there = log.trial_counts()
    assert (here.task, here.device, here.counts) == (
        record(0).task,
        record(0).device,
        {"ok": 2, "censored": 1, "wrong_result": 1},
    )
    assert (there.device, there.counts) == (record(1, threads=8).device, {"run_timeout": 1})
    assert (here.trials, here.failures) == (4, {"wrong_result": 1})
