"""The charts of a report as SVG elements (imports Matplotlib)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autotune.devices.machine_state import MachineState
from autotune.devices.roofline import Roofline, bandwidth
from autotune.jobs.status import DeviceStatus, Latency, ModelStatus
from autotune.reports.report import Curve, OperatorQuality, OperatorReport
from cost_models.evaluation.plots import literal_label, saved
from search_spaces.printable_text import printable

_WIDTH, _HEIGHT = 8.0, 3.6
_SHOWN_OPERATORS = 12
_STYLE: dict[Any, Any] = {
    # Text stays text: it can be searched, copied and read aloud.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def latency_chart(models: Sequence[ModelStatus]) -> Markup | None:
    """Before and after of every model that was measured, with intervals; None where none was."""
    measured = [one for one in models if one.before and one.after]
    if not measured:
        return None
    with _picture("latency", 1.0 + 0.8 * len(measured)) as (axes, svg):
        for place, one in enumerate(measured):
            for offset, latency, colour in ((-0.2, one.before, "#9aa5b1"), (0.2, one.after, "#1f77b4")):
                assert latency is not None
                axes.barh(
                    place + offset, 1e3 * latency.secs, 0.36, color=colour, xerr=_error(latency), capsize=3
                )
                axes.text(
                    1e3 * latency.high_secs, place + offset, f"  {1e3 * latency.secs:.3g} ms", va="center"
                )
        axes.set_yticks(
            range(len(measured)), [literal_label(f"{one.name} on {one.device}") for one in measured]
        )
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("latency of one run in ms, median and 95 % interval; grey before, blue after")
    return svg()


def curve_chart(curves: Sequence[Curve]) -> Markup | None:
    """The sums of the models' tasks over the time of the job."""
    if not curves:
        return None
    unit, name = (3600, "hours") if max(one.points[-1][0] for one in curves) > 7200 else (60, "minutes")
    with _picture("curves") as (axes, svg):
        for one in curves:
            times, secs = zip(*one.points, strict=True)
            label = literal_label(f"{one.model} on {one.device}")
            axes.step(
                [time / unit for time in times], [1e3 * each for each in secs], where="post", label=label
            )
        axes.set_yscale("log")
        axes.set_xlabel(f"{name} of the job")
        axes.set_ylabel("sum of the tasks, ms")
        axes.legend()
    return svg()


def task_chart(operators: Sequence[OperatorReport]) -> Markup | None:
    """The speed-ups of the heaviest tasks over their trials."""
    moved = [one for one in operators if len(one.improvements) > 1][:_SHOWN_OPERATORS]
    if not moved:
        return None
    with _picture("tasks", 4.6) as (axes, svg):
        for one in moved:
            trials, secs = zip(*one.improvements, strict=True)
            last = max(one.trials, trials[-1])
            gains = [secs[0] / each for each in (*secs, secs[-1])]
            axes.step([*trials, last], gains, where="post", label=literal_label(one.name))
        axes.set_yscale("log")
        axes.set_xlabel("trials")
        axes.set_ylabel("times faster than the first")
        axes.legend(fontsize=7, ncols=2)
    return svg()


def roofline_chart(device: DeviceStatus, operators: Sequence[OperatorReport]) -> Markup | None:
    """The roofline of a device with its tasks, untuned and tuned."""
    roofline = device.roofline
    shown = [
        one for one in operators if one.intensity and one.flops_per_sec and one.device == device.connection
    ]
    if roofline is None or not shown:
        return None
    with _picture(f"roofline-{device.connection}", 4.6) as (axes, svg):
        intensities = [one.intensity for one in shown if one.intensity]
        low, high = min(0.05, *intensities) / 2, max(100.0, *intensities) * 2
        for roof in roofline.roofs:
            _roof(axes, roofline, roof.working_set_bytes, low, high)
        for one in shown:
            assert one.intensity is not None
            assert one.flops_per_sec is not None
            default = (one.default_flops_per_sec or one.flops_per_sec) / 1e9
            axes.plot(
                [one.intensity] * 2, [default, one.flops_per_sec / 1e9], color="#cccccc", lw=0.8, zorder=1
            )
            axes.scatter(one.intensity, default, s=12, color="#9aa5b1", zorder=2)
            axes.scatter(
                one.intensity, one.flops_per_sec / 1e9, s=20 + 400 * one.share, color="#1f77b4", alpha=0.7
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("floating-point operations for each byte of inputs and outputs")
        axes.set_ylabel("GFLOP/s; grey untuned, blue now, larger: more of the time")
    return svg()


def quality_chart(quality: Sequence[OperatorQuality]) -> Markup | None:
    """The cost model's ranking accuracy on the next trials, over the trials."""
    if not quality:
        return None
    with _picture("quality") as (axes, svg):
        for one in quality:
            trials, accuracy = zip(*one.points, strict=True)
            axes.plot(trials, accuracy, marker="o", ms=3, label=literal_label(one.task))
        axes.axhline(0.5, color="#999999", ls=":", lw=1)
        axes.set_ylim(0.3, 1.0)
        axes.set_xlabel("trials that it had learnt from")
        axes.set_ylabel("pairs of the next 32 in order")
        axes.legend(fontsize=7)
    return svg()


def machine_chart(looks: Sequence[MachineState]) -> Markup | None:
    """The load by other programs, and the clock, over the time of the job."""
    if len(looks) < 2:
        return None
    with _picture("machine", 2.4) as (axes, svg):
        axes.plot(range(len(looks)), [one.busy_elsewhere for one in looks], label="processors busy elsewhere")
        axes.set_xlabel("looks at the machine, in order")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", fontsize=7)
        clocks = [one.mhz for one in looks if one.mhz]
        if len(clocks) == len(looks):
            other = axes.twinx()
            other.plot(range(len(looks)), clocks, color="#d62728", lw=0.8, label="clock, MHz")
            other.set_ylim(bottom=0)
            other.legend(loc="upper right", fontsize=7)
    return svg()


def _roof(axes: Axes, roofline: Roofline, working_set_bytes: int, low: float, high: float) -> None:
    rate = bandwidth(roofline, working_set_bytes)
    ridge = roofline.flops_per_sec / rate
    tops = [min(rate * each, roofline.flops_per_sec) / 1e9 for each in (low, ridge, high)]
    size = working_set_bytes >> 10
    label = f"{size} KiB" if size < 1024 else f"{size >> 10} MiB"
    axes.plot([low, ridge, high], tops, color="#444444", lw=1)
    axes.text(low * 1.2, rate * low * 1.3 / 1e9, f"{label}: {rate / 1e9:.0f} GB/s", fontsize=7, rotation=28)


def _error(latency: Latency) -> list[list[float]]:
    return [
        [1e3 * max(latency.secs - latency.low_secs, 0.0)],
        [1e3 * max(latency.high_secs - latency.secs, 0.0)],
    ]


@contextmanager
def _picture(name: str, height: float = _HEIGHT) -> Iterator[tuple[Axes, Svg]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure.subplots(), Svg(figure, name)


class Svg:
    """The SVG element of a figure, without the XML head of a file of its own; call it when the figure is complete."""

    def __init__(self, figure: Figure, name: str) -> None:
        self._figure = figure
        self._name = printable(name)

    def __call__(self) -> Markup:
        """The element, with its class and name as attributes, safe to stand in a page."""
        # Names within a picture are unique on the page.
        with mpl.rc_context({**_STYLE, "svg.hashsalt": self._name}):
            text = saved(self._figure, format="svg", metadata={"Date": None, "Creator": None}).decode()
        start = Markup('<svg class="chart" data-chart="{}"').format(self._name)
        return start + Markup(text[text.index("<svg") + len("<svg") :])  # matplotlib has escaped its texts
