"""Job files: what they may say, and on which line they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.devices import toml_file
from autotune.devices.toml_file import ErrorList
from autotune.jobs.job_file import read_job_file
from autotune.models.size_range import SizeRange
from autotune.search.samplers import SamplerKind
from autotune.tuning.budget import Budget
from search_spaces import Misuse

GOOD = """\
output = "out/night"
devices = ["local"]
sampler = "random"
webhook = "https://example.org/done"

[budget]
hours = 8
gain_per_hour = 0.01

[[models]]
path = "a.onnx"
priority = 2
shapes = { images = [1, 3,
    320, 320] }

[[models]]
path = "b.onnx"
name = "second"
devices = ["local?threads=1"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def read(folder: Path, text: str):  # type: ignore[no-untyped-def]
    path = folder / "jobs.toml"
    path.write_text(text)
    return read_job_file(path)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(Misuse) as caught:
        read(folder, text)
    return str(caught.value)


def test_a_job_file_is_models_devices_and_a_budget(folder: Path) -> None:
    request = read(folder, GOOD)
    assert request.name == "jobs"
    assert request.budget == Budget(secs=8 * 3600, gain_per_hour=0.01)
    assert request.output == folder / "out/night"
    assert request.log == str(folder / "out/night/log.jsonl")
    assert request.sampler is SamplerKind.RANDOM
    first, second = request.models
    assert (first.name, first.priority, first.devices) == ("a", 2.0, ("local",))
    assert first.shapes == {"images": (1, 3, 320, 320)}
    assert (second.name, second.priority, second.devices) == ("second", 1.0, ("local?threads=1",))
    assert request.devices == ("local", "local?threads=1")
    assert (first.needed_secs, second.needed_secs) == (None, None)


def test_sizes_may_be_ranges_within_a_limit(folder: Path) -> None:
    ranges = (
        'max_mb = 64\nshapes = { images = ["1..8", 3, "160..320:32", 320] }\ndims = { batch = "1..4", t = 7 }'
    )
    text = GOOD.replace("shapes = { images = [1, 3,\n    320, 320] }", ranges)
    model = read(folder, text).models[0]
    assert model.shapes == {"images": (SizeRange(1, 8), 3, SizeRange(160, 320, 32), 320)}
    assert model.dims == {"batch": SizeRange(1, 4), "t": 7}
    assert model.max_mb == 64
    assert model.largest_shapes == {"images": (8, 3, 320, 320)}
    said = complaint(folder, text.replace('"1..4"', '"4..1"').replace("3, ", "true, "))
    assert "found 4..1" in said
    assert "the sizes of shapes and dims are whole numbers" in said


def test_a_model_may_need_a_latency(folder: Path) -> None:
    request = read(folder, GOOD.replace("priority = 2", "latency_ms = 2.5"))
    assert request.models[0].needed_secs == pytest.approx(2.5e-3)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("hours = 8", "hours = eight", 7, "value"),
        ("hours = 8", "hours = -8", 7, "positive"),
        ("hours = 8", "hours = '8'", 7, "a number"),
        ("hours = 8", "time = 'soon'", 7, "90s"),
        ("hours = 8", "hour = 8", 7, "did you mean hours?"),
        ("gain_per_hour = 0.01", "gain_per_hour = 1", 8, "between 0 and 1"),
        ("hours = 8\ngain_per_hour = 0.01\n", "", 6, "needs a number of trials"),
        ('path = "a.onnx"', "", 10, "needs a path"),
        ('path = "a.onnx"', 'path = "c.onnx"', 11, "c.onnx"),
        ("priority = 2", "priority = 0", 12, "positive"),
        ("priority = 2", "latency_ms = 0", 12, "positive"),
        ("priority = 2", "latency_ms = 'low'", 12, "a number"),
        ("priority = 2", "latency = 5", 12, "did you mean latency_ms?"),
        ("[1, 3,\n    320, 320]", "[1, 3,\n    0, 320]", 13, "shape"),
        ('name = "second"', 'name = "a"', 16, "two models are called 'a'"),
        ('["local?threads=1"]', '["gopher://x"]', 19, "local"),
        ('["local?threads=1"]', "[]", 19, "at least one device"),
        ('"random"', '"oracle"', 3, "cost-model"),
        ('"https://example.org/done"', '"example.org"', 4, "http"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(folder: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    found = complaint(folder, GOOD.replace(old, new))
    assert found.startswith(f"{folder / 'jobs.toml'}:{line}: "), found
    assert words in found


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    found = complaint(folder, GOOD.replace("hours = 8", "hours = 0").replace("b.onnx", "absent.onnx"))
    assert [line.split(":")[1] for line in found.splitlines()] == ["7", "17"]


def test_a_job_without_models_is_misuse(folder: Path) -> None:
    assert "[[models]]" in complaint(folder, "[budget]\nhours = 1\n")


def test_a_file_that_is_absent_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"jobs\.toml"):
        read_job_file(tmp_path / "jobs.toml")


def test_an_output_that_is_a_file_is_misuse(folder: Path) -> None:
    assert complaint(folder, GOOD.replace("out/night", "a.onnx")).startswith(f"{folder / 'jobs.toml'}:1: ")


def test_the_line_of_a_value_in_an_array_of_tables_is_found_with_each_line_parsed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "# a job\n[[models]]\npath = 'a'\n[models.shapes]\nx = [\n  1,\n]\n\n[[models]]\nname.of = 'b'\n"
    paths = [
        ("models",),
        ("models", 0, "shapes", "x"),
        ("models", 0, "shapes", "x", 0),
        ("models", 1, "name", "of"),
        ("models", 1, "absent"),
        ("absent",),
    ]
    assert [ErrorList("", text).line_of(path) for path in paths] == [2, 5, 5, 10, 9, 1]
    parsed: list[str] = []
    loads = toml_file.tomllib.loads
    monkeypatch.setattr(toml_file.tomllib, "loads", lambda each: parsed.append(each) or loads(each))
    long = "".join(f"key{number} = {number}\n" for number in range(500))
    assert ErrorList("", long).line_of(("key499",)) == 500
    assert sum(map(len, parsed)) < 2 * len(long)


def test_the_line_of_a_value_that_spans_several_is_its_first() -> None:
    text = '# notes\na = """\nb = 1\n"""\nb = [\n  1,\n  2]\n\n[t]\nc = 3'
    assert [
        ErrorList("", text).line_of(path) for path in (("a",), ("b",), ("t",), ("t", "c"), ("t", "absent"))
    ] == [
        2,
        5,
        9,
        10,
        9,
    ]


def test_devices_may_be_those_that_devices_toml_describes(folder: Path) -> None:
    (folder / "devices.toml").write_text(
        '[[device]]\nname = "desk"\nconnection = "local"\nthreads = 1\nprice_per_hour = 0.5\n'
    )
    request = read(folder, GOOD.replace('devices = ["local"]', 'devices = ["desk"]'))
    assert request.devices == ("desk", "local?threads=1")
    desk = request.reach("desk")
    assert (desk.name, desk.threads, desk.price_per_hour) == ("desk", 1, 0.5)
    assert "describes desk" in complaint(folder, GOOD.replace('devices = ["local"]', 'devices = ["lap"]'))
