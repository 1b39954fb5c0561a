"""The report of a job: its numbers, and its page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis_profiles import examples
from literal_texts import HOSTILE_TEXTS, LITERAL, literal_status, obeyed_characters
from msgspec.structs import replace

from autotune.devices.machine_state import MachineState
from autotune.devices.roofline import ideal
from autotune.jobs.device_choice import compare_devices
from autotune.jobs.model_builds import latency
from autotune.jobs.status import JobStatus, Operator
from autotune.jobs.status_file import read_status
from autotune.reports.charts import curve_chart, latency_chart, quality_chart, roofline_chart, task_chart
from autotune.reports.making import make_report
from autotune.reports.page import page
from autotune.reports.report import Curve, OperatorQuality, Report
from autotune.testing.toy_job import ROOFLINE, run_toy_job
from cost_models.evaluation.held_out import Quality
from cost_models.evaluation.over_trials import quality_over_trials
from cost_models.evaluation.page import evaluation_page
from cost_models.evaluation.plots import literal_label
from search_spaces.printable_text import printable
from tuning_logs import TuningLog

CHROMIUM = shutil.which("chromium")
# Without the background's own connections, which a machine without network refuses by the dozen.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=1200,4000",
    # Waits for what the page has yet to do, however busy the machine.
    "--virtual-time-budget=5000",
]
# Leaves in the page what a test wants to know of it once everything is laid out.
PROBE = """
<script>
window.addEventListener("load", () => {
  const charts = [...document.querySelectorAll("svg.chart")].map(svg => {
    const box = svg.getBoundingClientRect();
    const inked = [...svg.querySelectorAll(".line:not(.key), .bar-fill, .dot")].filter(one => {
      const inner = one.getBoundingClientRect();
      return inner.width > 0 || inner.height > 0;
    });
    return {name: svg.dataset.chart, width: box.width, height: box.height, inked: inked.length,
            texts: svg.querySelectorAll("text").length};
  });
  const probe = document.createElement("script");
  probe.type = "application/json";
  probe.id = "probe";
  probe.textContent = JSON.stringify({charts, rows: document.querySelectorAll("tbody tr").length,
    overflow: document.documentElement.scrollWidth > window.innerWidth,
    resources: performance.getEntriesByType("resource").map(one => one.name)});
  document.body.appendChild(probe);
});
</script>
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A toy job that ran twice, with what only a real model adds."""
    folder = tmp_path_factory.mktemp("job")
    run_toy_job(folder, 200, 0.0)
    run_toy_job(folder, 300, 0.0)
    status = read_status(folder)
    assert status is not None
    task = next(one for one in status.tasks if one.key in status.models[0].calls)
    model = replace(
        status.models[0],
        path="first.onnx",
        outputs_equal=True,
        before=latency([0.02, 0.021, 0.0205] * 10),
        after=latency([0.01, 0.011, 0.0102] * 10),
        operators=(Operator(task.name, task.key, 1, "tuned", "", task.default_secs, task.best_secs, 1.0),),
    )
    models = (model, *status.models[1:])
    devices = (replace(status.devices[0], price_per_hour=0.36),)
    status = replace(
        status,
        models=models,
        devices=devices,
        warnings=("<b>a warning</b>",),
        offers=tuple(compare_devices(models, devices)),
        machine=tuple(MachineState(f"{n}", 0.1 * n, 1.0, 3000.0 - n, 50.0, 0) for n in range(5)),
    )
    return make_report(status, TuningLog.read(folder / "log.jsonl"), lambda _task: 1 << 12)


def test_shares_add_up_and_the_heaviest_comes_first(report: Report) -> None:
    shares = [one.share for one in report.operators]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)


def test_gains_and_speeds_are_those_of_the_log(report: Report) -> None:
    by_key = {one.key: one for one in report.status.tasks}
    for one in report.operators:
        task = by_key[one.key]
        assert task.default_secs is not None and task.best_secs is not None
        assert one.gain == pytest.approx(task.default_secs / task.best_secs)
        assert one.flops_per_sec == pytest.approx(task.flops / task.best_secs)
        assert one.improvements[0] == (0, task.default_secs)
        assert one.improvements[-1][1] == pytest.approx(task.best_secs)
        roofline = report.status.devices[0].roofline
        assert roofline is not None
        assert one.peak_share == pytest.approx(ideal(roofline, task.flops, 1 << 12).secs / task.best_secs)


def test_the_curves_fall_from_the_untuned_to_the_present_estimate_in_the_jobs_own_time(
    report: Report,
) -> None:
    estimates = {one.name: one for one in report.status.models}
    assert [one.model for one in report.curves] == ["first", "second"]
    for curve in report.curves:
        times, secs = zip(*curve.points, strict=True)
        assert list(times) == sorted(times)
        assert list(secs) == sorted(secs, reverse=True)
        assert secs[0] == pytest.approx(estimates[curve.model].estimated_start_secs)
        assert secs[-1] == pytest.approx(estimates[curve.model].estimated_secs)
        assert times[-1] == pytest.approx(report.status.secs, rel=0.01)


def test_what_the_build_uses_is_told_by_operator(report: Report) -> None:
    schedules = {one.key: one.schedule for one in report.operators}
    assert sorted(schedules.values()) == ["not built", "not built", "tuned"]


def test_the_cost_models_quality_is_better_than_luck_on_a_smooth_space(report: Report) -> None:
    assert report.quality
    last = [one.points[-1][1] for one in report.quality]
    assert max(last) > 0.7
    assert quality_over_trials([]) == []


def test_the_numbers_are_the_same_as_json(report: Report) -> None:
    again = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert msgspec.to_builtins(again) == msgspec.to_builtins(report)


def test_a_status_survives_being_written_and_read(report: Report) -> None:
    written = msgspec.json.encode(report.status)
    assert msgspec.json.encode(msgspec.json.decode(written, type=JobStatus)) == written


def test_the_page_needs_nothing_else_and_takes_no_text_for_markup(report: Report) -> None:
    text = page(report)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text.replace("xlink:href", "href"))
    assert "&lt;b&gt;a warning" in text
    assert "<b>a warning" not in text


def test_the_page_compares_devices_where_there_is_a_price(report: Report) -> None:
    text = page(report)
    assert "Which device" in text
    # A hundredth of a second of 0.36 an hour, a million times.
    assert "<td>1.02</td>" in text


class Texts(HTMLParser):
    """The texts of a page, as a reader sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found = ""
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found += data


def test_names_that_look_like_markup_come_out_literally_in_the_page() -> None:
    status = literal_status()
    text = page(make_report(status, TuningLog.in_memory(), lambda _task: 1))
    shown = Texts(text).found
    for kind in ("job", "model", "task", "device", "warning", "trouble", "error", "fact"):
        assert f"{kind} {LITERAL}" in shown, kind
    assert "<b>x</b>" not in text


def test_names_that_look_like_markup_come_out_literally_in_charts() -> None:
    status = literal_status()
    [found] = make_report(status, TuningLog.in_memory(), lambda _task: 1).operators
    [device] = status.devices
    device = replace(device, connection=f"toy {LITERAL}", roofline=ROOFLINE)
    operator = replace(
        found,
        device=device.connection,
        intensity=1.0,
        flops_per_sec=1e9,
        improvements=((0, 0.01), (1, 0.005)),
    )
    texts = {
        latency_chart(status.models): f"model {LITERAL} on toy",
        curve_chart(
            [Curve(f"model {LITERAL}", "toy", ((0.0, 0.02), (60.0, 0.01)))]
        ): f"model {LITERAL} on toy",
        task_chart([operator]): f"task {LITERAL}",
        quality_chart([OperatorQuality(LITERAL, ((32, 0.5), (64, 0.7)))]): LITERAL,
    }
    for chart, text in texts.items():
        assert chart is not None
        found_texts = ["".join(one.itertext()) for one in ElementTree.fromstring(chart).iter()]
        assert text in [one.strip() for one in found_texts], found_texts
    roofline = roofline_chart(device, [operator])
    assert roofline is not None
    assert ElementTree.fromstring(roofline).attrib["data-chart"] == f"roofline-toy {LITERAL}"


def test_names_that_look_like_markup_come_out_literally_in_an_evaluation() -> None:
    quality = Quality(1, 8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    text = evaluation_page(
        f"title {LITERAL}", {"fact": LITERAL}, {f"model {LITERAL}": quality}, [], {LITERAL: b""}
    )
    assert "<b>x</b>" not in text
    for kind in ("title", "model"):
        assert f"{kind} {LITERAL}" in Texts(text).found


def tags(page: str) -> list[str]:
    """The elements of a page outside its charts, in order."""
    return re.findall(r"<[a-z][^>]*>", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))


@examples(15)
@given(HOSTILE_TEXTS)
def test_a_page_has_the_same_elements_whatever_the_names(text: str) -> None:
    def shown(text: str) -> str:
        return page(make_report(literal_status(text), TuningLog.in_memory(), lambda _task: 1))

    found = shown(text)
    found.encode()
    assert not obeyed_characters(found)
    assert tags(found) == tags(shown("plain"))
    for kind in ("job", "model", "task", "device", "warning", "trouble", "error", "fact"):
        assert printable(f"{kind} {text}") in Texts(found).found


@examples(15)
@given(HOSTILE_TEXTS)
def test_an_evaluation_has_the_same_elements_whatever_the_names(text: str) -> None:
    quality = Quality(1, 8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)

    def shown(text: str) -> str:
        return evaluation_page(f"title {text}", {f"x{text}": text}, {text: quality}, [], {text: b""})

    found = shown(text)
    assert not obeyed_characters(found)
    assert len(tags(found)) == len(tags(shown("plain")))
    assert printable(f"title {text}") in Texts(found).found


@pytest.mark.filterwarnings("error")
@examples(8)
@given(HOSTILE_TEXTS)
def test_charts_show_any_name_literally_and_without_warnings(text: str) -> None:
    status = literal_status(text)
    [device] = status.devices
    device = replace(device, connection=f"x{text}", roofline=ROOFLINE)
    [operator] = make_report(status, TuningLog.in_memory(), lambda _task: 1).operators
    operator = replace(operator, device=device.connection, intensity=1.0, flops_per_sec=1e9)
    moved = replace(operator, name=text, improvements=((0, 0.01), (1, 0.005)))
    charts = {
        latency_chart(status.models): f"model {text} on toy",
        curve_chart([Curve(text, "toy", ((0.0, 0.02), (60.0, 0.01)))]): f"{text} on toy",
        task_chart([moved]): text,
        quality_chart([OperatorQuality(text, ((32, 0.5), (64, 0.7)))]): text,
        roofline_chart(device, [operator]): "",
    }
    for chart, label in charts.items():
        assert chart is not None
        assert not obeyed_characters(chart)
        shown = ["".join(one.itertext()) for one in ElementTree.fromstring(chart).iter()]
        assert literal_label(label).replace(r"\$", "$").split() in [one.split() for one in shown]


@pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the report was not looked at in a browser"
)
def test_a_browser_shows_every_chart_and_complains_of_nothing(report: Report, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    file = tmp_path / "report.html"
    file.write_text(page(report).replace("</body>", PROBE + "</body>"))
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'id="probe">(.*?)</script>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    probe = json.loads(found[1])
    charts = {one["name"]: one for one in probe["charts"]}
    assert list(charts) == ["latency", "curves", "tasks", "roofline-toy", "quality", "machine"]
    for name, chart in charts.items():
        assert chart["width"] > 600 and chart["height"] > 100, name
        assert chart["texts"] > (5 if name != "latency" else 3), name
    moved = sum(len(one.improvements) > 1 for one in report.operators)
    assert {name: chart["inked"] for name, chart in charts.items()} == {
        "latency": 2,
        "curves": len(report.curves),
        "tasks": moved,
        "roofline-toy": 2 * len(report.operators),
        "quality": len(report.quality),
        "machine": 2,
    }
    assert probe["rows"] >= 3 + 2 + 2
    assert probe["resources"] == []
    assert not probe["overflow"]
