"""Charts as SVG elements: axes, lines, dots and bars, coloured by the style sheet of the page.

Without scripts and style attributes, so that they may stand in a page with a strict Content-Security-Policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autotune.reports.axis import Axis, tick_text
from search_spaces.printable_text import one_line, printable

_WIDTH = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 26, 40
_LEGEND_LINE = 17
_COLOURS = 8
# Longer labels leave no room for the axes.
_LABEL_CHARS = 48
_WIDE_LABEL = 28

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line; label: its name in the legend, None for none; style: classes of the style sheet."""

    points: Points
    label: str | None = None
    is_step: bool = False
    style: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot of a radius; hint: shown when the pointer rests on it."""

    at: tuple[float, float]
    radius: float
    hint: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A short text at a point."""

    at: tuple[float, float]
    text: str


Mark = Line | Dot | Note


def short_label(text: str) -> str:
    """A label on one line, with … in place of its middle where it is long."""
    line = one_line(text)
    if len(line) > _LABEL_CHARS:
        line = f"{line[: _LABEL_CHARS // 2]}…{line[1 - _LABEL_CHARS // 2 :]}"
    return line or " "


def svg(name: str, title: str, height: float, inside: Iterable[Markup]) -> Markup:
    """An SVG element with a title, which is read aloud; name: tells the charts of a page apart."""
    head = Markup(
        '<svg class="chart" data-chart="{}" role="img" viewBox="0 0 {} {:.0f}" xmlns="http://www.w3.org/2000/svg">'
        "<title>{}</title>"
    )
    return head.format(printable(name), _WIDTH, height, title) + Markup("").join(inside) + Markup("</svg>")


def plot(name: str, across: Axis, up: Axis, marks: Sequence[Mark], height: float = 270) -> Markup:
    """A chart of marks over two axes, with a legend of the lines that have labels."""
    labels = [(place, mark.label) for place, mark in enumerate(_lines(marks)) if mark.label is not None]
    legend_lines = _legend(labels, height)
    frame = _Frame(across, up, height)
    drawn = [*frame.grid(), *frame.marks(marks), *(line for line, _ in legend_lines)]
    bottom = max((at for _, at in legend_lines), default=height)
    return svg(name, f"{up.title} over {across.title}", bottom, drawn)


@dataclass(frozen=True, slots=True)
class _Frame:
    across: Axis
    up: Axis
    height: float

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + self.across.place(point[0]) * (_WIDTH - _LEFT - _RIGHT)
        bottom = self.height - _BOTTOM
        return x, bottom - self.up.place(point[1]) * (bottom - _TOP)

    def grid(self) -> list[Markup]:
        bottom, right = self.height - _BOTTOM, _WIDTH - _RIGHT
        found = []
        for value in self.up.ticks():
            _, y = self.at((self.across.low, value))
            found += [
                _path(f"M{_LEFT} {y:.1f}H{right}", "grid"),
                text(_LEFT - 6, y + 4, tick_text(value), "end"),
            ]
        for value in self.across.ticks():
            x, _ = self.at((value, self.up.low))
            found += [
                _path(f"M{x:.1f} {_TOP}V{bottom}", "grid"),
                text(x, bottom + 16, tick_text(value), "middle"),
            ]
        found.append(_path(f"M{_LEFT} {_TOP}V{bottom}H{right}", "axis"))
        found.append(text(2, 14, self.up.title, "start"))
        found.append(text(right, self.height - 6, self.across.title, "end"))
        return found

    def marks(self, marks: Sequence[Mark]) -> list[Markup]:
        numbers = {id(line): place for place, line in enumerate(_lines(marks))}
        found = []
        for mark in marks:
            match mark:
                case Line():
                    style = mark.style or f"line c{numbers[id(mark)] % _COLOURS}"
                    found.append(_path(self._way(mark), style))
                case Dot():
                    x, y = self.at(mark.at)
                    found.append(_dot(x, y, mark))
                case Note():
                    x, y = self.at(mark.at)
                    found.append(text(x, y, mark.text, "start"))
        return found

    def _way(self, line: Line) -> str:
        places = [self.at(point) for point in line.points]
        way = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
        for x, y in places[1:]:
            way += f"H{x:.1f}V{y:.1f}" if line.is_step else f"L{x:.1f} {y:.1f}"
        return way


def _lines(marks: Sequence[Mark]) -> list[Line]:
    """The lines that take a colour each."""
    return [mark for mark in marks if isinstance(mark, Line) and not mark.style]


def _legend(labels: Sequence[tuple[int, str]], top: float) -> list[tuple[Markup, float]]:
    """The legend's entries with the height that each of them reaches to, two in a row where they are short."""
    columns = 1 if any(len(short_label(label)) > _WIDE_LABEL for _, label in labels) else 2
    found = []
    for place, (number, label) in enumerate(labels):
        x = 8 + place % columns * _WIDTH / 2
        y = top + 12 + place // columns * _LEGEND_LINE
        key = _path(f"M{x:.0f} {y - 4:.0f}h18", f"key line c{number % _COLOURS}")
        found.append((key + text(x + 24, y, short_label(label), "start"), y + 8))
    return found


def bar(x: float, y: float, width: float, style: str) -> Markup:
    """A horizontal bar, 14 high."""
    return _path(f"M{x:.1f} {y:.1f}h{max(width, 1.0):.1f}v14h{-max(width, 1.0):.1f}Z", f"bar-fill {style}")


def whisker(low: float, high: float, y: float) -> Markup:
    """An interval from one place to another across the middle of a bar at y."""
    return _path(
        f"M{low:.1f} {y + 3:.1f}v8M{low:.1f} {y + 7:.1f}H{high:.1f}M{high:.1f} {y + 3:.1f}v8", "whisker"
    )


def text(x: float, y: float, value: str, anchor: str) -> Markup:
    """A text whose start, middle or end is at a place."""
    element = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return element.format(x, y, anchor, printable(value))


def _dot(x: float, y: float, dot: Dot) -> Markup:
    element = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}"><title>{}</title></circle>')
    return element.format(x, y, dot.radius, dot.style, short_label(dot.hint))


def _path(way: str, style: str) -> Markup:
    return Markup('<path d="{}" class="{}"/>').format(way, style)
