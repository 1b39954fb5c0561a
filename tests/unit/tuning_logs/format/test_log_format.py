"""The format is what its documents say, and logs of every version open for ever."""

import json
import math
import re
import zlib
from dataclasses import replace

import pytest
import repository

from search_spaces.target import Target
from tuning_logs import Check, Failure, FailureKind, GpuResources, Job, Timing, TuningLog
from tuning_logs.format.json_schema import json_schema_text
from tuning_logs.format.line import LINE_TYPES, GpuValue, decode_line

GOLDEN = repository.GOLDEN / "tuning_log_1.0.jsonl"
TRACED = repository.GOLDEN / "tuning_log_1.1.jsonl"
SLOWED = repository.GOLDEN / "tuning_log_1.2.jsonl"
UNSTEADY = repository.GOLDEN / "tuning_log_1.3.jsonl"
NEWEST = repository.GOLDEN / "tuning_log_1.4.jsonl"


def test_the_golden_log_of_1_0_opens_with_exactly_what_was_put_in():
    log = TuningLog.read(GOLDEN)
    assert log.damage == ()
    assert len(log) == 6
    matmul, softmax = log.tasks()
    cpu, gpu = log.devices()
    first_job, second_job = log.jobs()

    assert matmul.key == "0420c0cd3fa590e6ebf4fad88e10ab2b"
    assert matmul.name == "matmul:16,16,16"
    assert matmul.workload.flops == 8192.0
    assert matmul.workload.module.startswith("zlib64:eNrdWdtu4zYQ")
    assert len(matmul.workload.module) == 2011
    assert matmul.target == Target("llvm", (("mcpu", "znver4"), ("num-cores", 2)))
    assert matmul.weight == 12
    assert softmax.name == "softmax · 1×1000"
    assert softmax.target.attr("mattr") == ("+a", "+b")
    assert (cpu.key, gpu.key) == ("55b9a0cd229be43c", "311843e57323f37e")
    assert gpu.facts == {
        "gpu_name": "NVIDIA A100-SXM4-40GB",
        "driver": "550.54.15",
        "compute_capability": 8.0,
        "mig": False,
        "partition": None,
    }
    assert first_job.versions["apache-tvm"] == "0.27.0.post1"
    assert second_job == Job("20260116T060000-11c2", -1, "tpe", "2026-01-16T06:00:00+00:00", {})

    default, fast, wrong, again, censored, late = log.iterate()
    assert default.config.answers == (("sketch", "default"),)
    assert default.measurement == Timing((1.25e-06, 1.3125e-06, 1.21875e-06), 0.0625)
    assert default.check == Check(0.0, 0.0)
    assert default.space_version == "tensor-ir-1/tvm-0.27.0.post1"
    assert fast.config.answers == (
        ("sketch", "sketch-2"),
        ("tile-0", (2, 1, 4, 2)),
        ("tile-1", (2, 4, 1, 2)),
        ("tile-2", (8, 2)),
        ("unroll-0", 16),
    )
    assert fast.config == again.config
    assert fast.provenance.trial == 1
    assert fast.provenance.time == "2026-01-15T21:45:07.500000+00:00"
    assert wrong.measurement == Failure(FailureKind.WRONG_RESULT, "expected 3.0 at [0, 7], found inf", 0.21)
    assert wrong.check is not None
    assert wrong.check.max_abs_error == math.inf
    assert math.isnan(wrong.check.max_rel_error)
    assert censored.measurement == Timing((0.5,), 2.0, censored=True)
    assert censored.check is None
    assert late.measurement == Failure(FailureKind.BUILD_TIMEOUT, "größer als 10 s\nnvcc: 中断", 10.0)

    best = log.best(matmul, cpu)
    assert best is not None
    assert best.measurement == Timing((4.0e-07, 3.8e-07, 4.4e-07, 3.6e-07, 3.9e-07), 0.25)
    assert best.secs == 3.9e-07


def test_the_golden_log_of_1_1_is_that_of_1_0_with_a_trace():
    log = TuningLog.read(TRACED)
    assert log.damage == ()
    records = list(log.iterate())
    without = [replace(record, trace=None) for record in records]
    assert repr(without) == repr(list(TuningLog.read(GOLDEN).iterate()))
    default, fast, wrong, again, *others = (record.trace for record in records)
    assert fast is not None
    assert fast == wrong == again
    assert (len(fast), fast[:20]) == (523, "zlib64:eNp9UsFugzAM/")
    assert {default, *others} == {None}
    best = log.best(records[0].task, records[0].device)
    assert best is not None
    assert best.trace == fast


def test_the_golden_log_of_1_2_is_that_of_1_1_with_a_slowed_machine_and_a_gpu():
    log = TuningLog.read(SLOWED)
    assert log.damage == ()
    *before, slowed, on_gpu = log.iterate()
    assert repr(before) == repr(list(TuningLog.read(TRACED).iterate()))
    assert slowed.measurement == Timing((7.5e-07, 7.9e-07, 7.2e-07), 0.25, slowdown=1.9375)
    assert slowed.secs == 7.5e-07 / 1.9375
    assert slowed.gpu is None
    assert on_gpu.gpu == GpuResources(registers=40, spill_bytes=0, shared_bytes=4096)
    best = log.best(slowed.task, slowed.device)
    assert best is not None
    assert best.config == slowed.config
    assert 3.6e-07 < best.secs < 4.4e-07
    frame = log.to_pandas()
    assert frame["gpu_registers"].dropna().tolist() == [40]
    assert frame["slowdown"].dropna().max() == 1.9375


def test_the_golden_log_of_1_3_is_that_of_1_2_with_a_trial_on_an_unsteady_device():
    log = TuningLog.read(UNSTEADY)
    assert log.damage == ()
    *before, unsteady = log.iterate()
    assert repr(before) == repr(list(TuningLog.read(SLOWED).iterate()))
    assert unsteady.measurement == Timing((6.3e-07, 6.1e-07, 6.6e-07), 0.203125, reference_slowdown=1.625)
    assert not unsteady.measurement.is_steady
    assert unsteady.secs == 6.3e-07
    assert all(one.measurement.is_steady for one in before if isinstance(one.measurement, Timing))
    frame = log.to_pandas()
    assert frame["reference_slowdown"].dropna().max() == 1.625


def test_the_golden_log_of_1_4_is_that_of_1_3_with_the_launch_of_a_gpu_kernel():
    log = TuningLog.read(NEWEST)
    assert log.damage == ()
    *before, launched = log.iterate()
    assert repr(before) == repr(list(TuningLog.read(UNSTEADY).iterate()))
    assert launched.gpu == GpuResources(64, 0, 0, dynamic_shared_bytes=22528, threads=128, occupancy=0.4375)
    frame = log.to_pandas()
    assert frame["gpu_threads"].dropna().tolist() == [128]
    assert frame["gpu_dynamic_shared_bytes"].dropna().tolist() == [22528]
    assert frame["gpu_occupancy"].dropna().tolist() == [0.4375]


@pytest.mark.parametrize("golden", [GOLDEN, TRACED, SLOWED, UNSTEADY, NEWEST])
def test_writing_a_golden_log_again_gives_the_same_bytes(golden, tmp_path):
    with TuningLog.open(tmp_path / "again.jsonl") as log:
        log.append(list(TuningLog.read(golden).iterate()))
    assert (tmp_path / "again.jsonl").read_bytes() == golden.read_bytes()


def test_a_typical_record_is_small():
    sizes = [len(line) for line in NEWEST.read_bytes().splitlines() if b'"kind":"record"' in line]
    assert max(sizes) <= 700


def test_the_examples_in_the_document_are_lines_of_the_golden_log():
    text = (repository.ROOT / "docs" / "tuning_log.md").read_text("utf-8")
    examples = [
        line for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    golden = NEWEST.read_text("utf-8").splitlines()
    assert {json.loads(line)["kind"] for line in examples} == {"workload", "device", "job", "trace", "record"}
    assert set(examples) <= set(golden)


def test_the_document_names_every_field_of_every_line():
    text = (repository.ROOT / "docs" / "tuning_log.md").read_text("utf-8")
    named = set(re.findall(r"`(?:measurement\.)?([a-z_]+)`", text))
    fields = {field for kind in LINE_TYPES for field in kind.__struct_fields__} - {"measurement"}
    timing_and_failure = {"run_secs", "build_secs", "censored", "failure", "message", "status"}
    more = {"slowdown", "reference_slowdown", *GpuValue.__struct_fields__}
    assert fields | more | timing_and_failure <= named
    assert {str(kind) for kind in FailureKind} <= named


def test_the_checksum_is_computed_as_documented():
    for line in GOLDEN.read_bytes().splitlines() + NEWEST.read_bytes().splitlines():
        schemas = (b"1.0", b"1.1", b"1.2", b"1.3", b"1.4")
        assert line.startswith(tuple(b'{"schema":"%s","kind":"' % schema for schema in schemas))
        head, tail = line.rsplit(b',"crc":', 1)
        assert tail == b'"%08x"}' % zlib.crc32(head)
        decode_line(line)


def test_the_shipped_json_schema_is_that_of_the_lines():
    shipped = repository.ROOT / "tuning_logs" / "tuning_log.schema.json"
    assert shipped.read_text("utf-8") == json_schema_text(), (
        "write tuning_logs.format.json_schema.json_schema_text() to tuning_logs/tuning_log.schema.json"
    )


def test_the_json_schema_has_a_definition_for_each_kind_with_all_its_fields_but_two_required():
    schema = json.loads(json_schema_text())
    for line in NEWEST.read_text("utf-8").splitlines():
        fields = json.loads(line)
        definition = schema["$defs"][fields["kind"].capitalize() + "Line"]
        assert definition["required"] == [field for field in fields if field not in ("trace", "gpu")]
        assert set(fields) <= set(definition["properties"])
        assert definition["properties"]["kind"] == {"enum": [fields["kind"]]}
