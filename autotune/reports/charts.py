"""The charts of a report as SVG elements."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from autotune.devices.machine_state import MachineState
from autotune.devices.roofline import Roofline, bandwidth
from autotune.jobs.durations import latency_unit, show_secs
from autotune.jobs.status import DeviceStatus, ModelStatus
from autotune.reports.axis import Axis, linear_axis, log_axis
from autotune.reports.drawing import Dot, Line, Mark, Note, bar, plot, short_label, svg, text, whisker
from autotune.reports.report import Curve, OperatorQuality, OperatorReport

# As many as there are colours.
_SHOWN_OPERATORS = 8
# How far apart bandwidths are whose labels both have room.
_LABEL_FACTOR = 1.4
_BARS_WIDTH, _BARS_LEFT, _MODEL_HEIGHT = 340.0, 4.0, 62.0


def latency_chart(models: Sequence[ModelStatus]) -> Markup | None:
    """Before and after of every model that was measured, with intervals; None where none was."""
    measured = [(one.name, one.device, one.before, one.after) for one in models if one.before and one.after]
    if not measured:
        return None
    most = max(max(before.high_secs, after.high_secs) for *_, before, after in measured)
    scale = _BARS_WIDTH / most
    drawn: list[Markup] = []
    for place, (name, device, before, after) in enumerate(measured):
        top = 4 + place * _MODEL_HEIGHT
        drawn.append(text(_BARS_LEFT, top + 13, short_label(f"{name} on {device}"), "start"))
        for y, latency, style in ((top + 20, before, "muted"), (top + 38, after, "c0")):
            low, high = (_BARS_LEFT + scale * secs for secs in (latency.low_secs, latency.high_secs))
            drawn.append(bar(_BARS_LEFT, y, scale * latency.secs, style))
            drawn.append(whisker(low, high, y))
            drawn.append(
                text(
                    max(high, _BARS_LEFT + scale * latency.secs) + 8, y + 12, show_secs(latency.secs), "start"
                )
            )
    bottom = 20 + len(measured) * _MODEL_HEIGHT
    drawn.append(
        text(
            _BARS_LEFT,
            bottom,
            "latency of one run, median and 95 % interval; grey before, blue after",
            "start",
        )
    )
    return svg("latency", "latency of each model before and after", bottom + 8, drawn)


def curve_chart(curves: Sequence[Curve]) -> Markup | None:
    """The sums of the models' tasks over the time of the job."""
    if not curves:
        return None
    unit, name = (3600, "hours") if max(one.points[-1][0] for one in curves) > 7200 else (60, "minutes")
    symbol, scale = latency_unit(max(latency for one in curves for _, latency in one.points))
    lines = [
        Line(
            [(secs / unit, latency / scale) for secs, latency in one.points],
            f"{one.model} on {one.device}",
            is_step=True,
        )
        for one in curves
    ]
    across, up = _axes(lines, f"{name} of the job", f"sum of the tasks, {symbol}")
    return plot("curves", across, up, lines)


def task_chart(operators: Sequence[OperatorReport]) -> Markup | None:
    """The speed-ups of the heaviest tasks over their trials."""
    moved = [one for one in operators if len(one.improvements) > 1][:_SHOWN_OPERATORS]
    if not moved:
        return None
    lines = []
    for one in moved:
        first = one.improvements[0][1]
        points = [(float(trial), first / secs) for trial, secs in one.improvements]
        points.append((max(one.trials, points[-1][0]), points[-1][1]))
        lines.append(Line(points, one.name, is_step=True))
    return plot("tasks", *_axes(lines, "trials", "times faster than the first"), lines)


def trial_chart(trials: Sequence[tuple[int, float]]) -> Markup | None:
    """The latencies of the trials of one task that ran, each a dot, with the best so far."""
    if len(trials) < 2:
        return None
    symbol, scale = latency_unit(max(secs for _, secs in trials))
    best: list[tuple[float, float]] = []
    for trial, secs in trials:
        best.append((float(trial), min(secs / scale, best[-1][1] if best else secs / scale)))
    dots: list[Mark] = [
        Dot((float(trial), secs / scale), 2.0, f"trial {trial}: {show_secs(secs)}", "dot muted")
        for trial, secs in trials
    ]
    across = linear_axis("trials", [float(trial) for trial, _ in trials])
    up = log_axis(f"latency, {symbol}; the line is the best so far", [secs / scale for _, secs in trials])
    return plot("trials", across, up, [*dots, Line(best, is_step=True)])


def roofline_chart(device: DeviceStatus, operators: Sequence[OperatorReport]) -> Markup | None:
    """The roofline of a device with its tasks, untuned and tuned."""
    roofline = device.roofline
    shown = [
        (one, one.intensity, one.flops_per_sec / 1e9)
        for one in operators
        if one.intensity and one.flops_per_sec and one.device == device.connection
    ]
    if roofline is None or not shown:
        return None
    intensities = [intensity for _, intensity, _ in shown]
    low, high = min(0.05, *intensities) / 2, max(100.0, *intensities) * 2
    marks: list[Mark] = []
    labelled: list[float] = []
    for roof in roofline.roofs:
        line, label = _roof(roofline, roof.working_set_bytes, low, high)
        rate = bandwidth(roofline, roof.working_set_bytes)
        # Labels of roofs that nearly coincide would cover each other.
        is_free = all(max(rate / one, one / rate) > _LABEL_FACTOR for one in labelled)
        marks += [line, label] if is_free else [line]
        labelled += [rate] if is_free else []
    rates = [rate for mark in marks if isinstance(mark, Line) for _, rate in mark.points]
    for one, intensity, rate in shown:
        default = (one.default_flops_per_sec or one.flops_per_sec or 0.0) / 1e9
        marks.append(Line([(intensity, default), (intensity, rate)], style="grid"))
        marks.append(Dot((intensity, default), 2.5, f"{one.name} untuned", "dot muted"))
        marks.append(Dot((intensity, rate), 3 + 12 * one.share**0.5, one.name, "dot c0"))
        rates += [default, rate]
    across = Axis("floating-point operations for each byte of inputs and outputs", low, high, is_log=True)
    up = log_axis("GFLOP/s; grey untuned, blue now, larger: more of the time", rates)
    return plot(f"roofline-{device.connection}", across, up, marks, 310)


def quality_chart(quality: Sequence[OperatorQuality]) -> Markup | None:
    """The cost model's ranking accuracy on the next trials, over the trials."""
    if not quality:
        return None
    lines = [Line([(float(trial), accuracy) for trial, accuracy in one.points], one.task) for one in quality]
    across = linear_axis("trials that it had learnt from", [x for one in lines for x, _ in one.points])
    chance = Line([(across.low, 0.5), (across.high, 0.5)], style="axis dashed")
    up = Axis("pairs of the next 32 in order", 0.3, 1.0)
    return plot("quality", across, up, [chance, *lines])


def machine_chart(looks: Sequence[MachineState]) -> Markup | None:
    """The load by other programs, and the clock, over the time of the job."""
    if len(looks) < 2:
        return None
    lines = [
        Line([(float(n), one.busy_elsewhere) for n, one in enumerate(looks)], "processors busy elsewhere")
    ]
    clocks = [one.mhz / 1e3 for one in looks if one.mhz]
    if len(clocks) == len(looks):
        lines.append(Line([(float(n), ghz) for n, ghz in enumerate(clocks)], "clock, GHz"))
    across = linear_axis("looks at the machine, in order", [float(len(looks) - 1)])
    up = linear_axis("processors; GHz", [y for one in lines for _, y in one.points])
    return plot("machine", across, up, lines, 220)


def drift_chart(slowdowns: Sequence[tuple[float, float]]) -> Markup | None:
    """The slowdown of the device by its reference kernel, over the records of the log."""
    if len(slowdowns) < 2:
        return None
    line = Line(slowdowns)
    across = linear_axis("records, in order", [at for at, _ in slowdowns])
    most = max(slowdown for _, slowdown in slowdowns)
    up = Axis("times slower than usual, by the reference kernel", 0.9, max(1.02 * most, 1.2))
    return plot("drift", across, up, [line], 220)


def _axes(lines: Sequence[Line], across: str, up: str) -> tuple[Axis, Axis]:
    points = [point for line in lines for point in line.points]
    return linear_axis(across, [x for x, _ in points]), log_axis(up, [y for _, y in points])


def _roof(roofline: Roofline, working_set_bytes: int, low: float, high: float) -> tuple[Line, Note]:
    rate = bandwidth(roofline, working_set_bytes)
    ridge = min(max(roofline.flops_per_sec / rate, low), high)
    tops = [(each, min(rate * each, roofline.flops_per_sec) / 1e9) for each in (low, ridge, high)]
    size = working_set_bytes >> 10
    label = f"{size} KiB" if size < 1024 else f"{size >> 10} MiB"
    note = Note((low * 1.2, rate * low * 1.3 / 1e9), f"{label}: {rate / 1e9:.0f} GB/s")
    return Line(tops, style="axis"), note
