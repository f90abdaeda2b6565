"""The figures of a report: intervals side by side, and effects over days.

Each is drawn twice, for a wide and for a narrow page; the page shows the one that fits. Shape and
line say what colour says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from orchestration.reports import words
from orchestration.reports.svg import (
    BETTER,
    INK,
    MUTED,
    RULE,
    SURFACE,
    UNCLEAR,
    WORSE,
    Drawing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

Tone = Literal["better", "worse", "unclear", "unjudged"]
Size = Literal["wide", "narrow"]

SIZES: tuple[Size, ...] = ("wide", "narrow")
WIDTHS: dict[Size, int] = {"wide": 760, "narrow": 340}
COLOURS: dict[Tone, str] = {
    "better": BETTER,
    "worse": WORSE,
    "unclear": UNCLEAR,
    "unjudged": UNCLEAR,
}
MARKERS: dict[Tone, str] = {"better": "o", "worse": "D", "unclear": "o", "unjudged": "s"}
NARROW_LABEL = 34
# relative effects beyond are shown by an arrow: an axis to +900% would hide everything else
FARTHEST = (-1.0, 1.5)


@dataclass(frozen=True, slots=True)
class Bar:
    """One effect with its interval; all numbers are relative to control.

    lower or upper is None where the interval is unbounded, effect where there is no estimate.
    beside is the other estimate (effect, lower, upper); limit the margin, on its side of zero.
    """

    label: str
    note: str
    effect: float | None
    lower: float | None
    upper: float | None
    tone: Tone
    text: str
    beside: tuple[float, float | None, float | None] | None = None
    limit: float | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """One effect over days: x counts days; ends are None where the interval is unbounded.

    Ends of the interval beyond farthest do not stretch the axis.
    """

    label: str
    text: str
    x: Sequence[int]
    effect: Sequence[float]
    lower: Sequence[float | None]
    upper: Sequence[float | None]
    tone: Tone
    x_text: Callable[[int], str]
    y_text: Callable[[float], str]
    limit: float | None = None
    farthest: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure in both sizes."""

    wide: Markup
    narrow: Markup


def forest(name: str, title: str, description: str, bars: Sequence[Bar]) -> Picture:
    """Draw effects below each other on one axis."""
    return _picture(name, title, description, lambda size: _forest(bars, size))


def courses(name: str, title: str, description: str, shown: Sequence[Course]) -> Picture:
    """Draw effects over days, one panel each."""
    return _picture(name, title, description, lambda size: _courses(shown, size))


def _picture(name: str, title: str, description: str, draw: Callable[[Size], Drawing]) -> Picture:
    drawn = {
        # drawn from escaped texts by an XML writer
        size: Markup(draw(size).to_svg(f"{name}-{size}", title, description))  # noqa: S704
        for size in SIZES
    }
    return Picture(drawn["wide"], drawn["narrow"])


def _forest(bars: Sequence[Bar], size: Size) -> Drawing:
    is_wide = size == "wide"
    width = WIDTHS[size]
    row, heading, foot = (40 if is_wide else 56), 30, 26
    left, right = (230, 508) if is_wide else (4, width - 4)
    headings = sum(bar.heading is not None for bar in bars)
    body = row * len(bars) + heading * headings
    drawing = Drawing(width, body + foot)
    axes = drawing.axes(left, 0, right - left, body)
    axes.set_ylim(body, 0)
    low, high = _relative_range(bars)
    axes.set_xlim(low, high)
    # a label at the edge would leave the drawing
    edge = 0.06 * (high - low)
    locator = MaxNLocator(6 if is_wide else 5, steps=[1, 2, 2.5, 5, 10])
    ticks = [
        each
        for each in locator.tick_values(low, high)
        if low + edge <= each <= high - edge or each == 0
    ]
    digits = 0 if all(abs(100 * tick - round(100 * tick)) < 1e-6 for tick in ticks) else 1
    axes.set_xticks(ticks, [drawing.label(words.percent(tick, digits=digits)) for tick in ticks])
    for tick in ticks:
        axes.axvline(tick, color=RULE, linewidth=1, zorder=0)
    axes.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
    # a note here and none there would look like a difference
    has_room = all(len(f"{bar.label}, {bar.note}") <= NARROW_LABEL for bar in bars)
    top = 0.0
    for bar in bars:
        if bar.heading is not None:
            # keeps the rules from running through the text
            axes.axhspan(top, top + heading - (2 if is_wide else 0), color=SURFACE, zorder=1.5)
            drawing.write(0, top + 20, _cut(bar.heading, 60 if is_wide else 40), weight="bold")
            top += heading
        if is_wide:
            drawing.write(0, top + 17, _cut(bar.label, 34), fontsize=13)
            drawing.write(0, top + 32, _cut(bar.note, 40), fontsize=11, color=MUTED)
            drawing.write(right + 16, top + 24, bar.text, fontsize=12)
            _interval(axes, bar, top + 20)
        else:
            axes.axhspan(top, top + 26, color=SURFACE, zorder=1.5)
            label = f"{bar.label}, {bar.note}" if has_room else bar.label
            drawing.write(0, top + 20, _cut(label, NARROW_LABEL), fontsize=13)
            drawing.write(width, top + 20, words.percent(bar.effect), fontsize=13, ha="right")
            _interval(axes, bar, top + 39)
        top += row
    return drawing


def _interval(axes: Axes, bar: Bar, y: float) -> None:
    colour = COLOURS[bar.tone]
    low, high = axes.get_xlim()
    if bar.limit is not None:
        axes.plot(
            [bar.limit] * 2, [y - 12, y + 12], color=INK, linewidth=1.4, linestyle=(0, (2, 2))
        )
    if bar.effect is None:
        return
    is_main_above = bar.beside is not None
    if bar.beside is not None:
        effect, lower, upper = bar.beside
        axes.plot(*_ends(lower, upper, low, high, y + 7), color=MUTED, linewidth=1, alpha=0.7)
        axes.plot(effect, y + 7, marker="|", markersize=7, color=MUTED, alpha=0.7)
    y -= 3 if is_main_above else 0
    is_firm = bar.tone in ("better", "worse")
    axes.plot(
        *_ends(bar.lower, bar.upper, low, high, y),
        color=colour,
        linewidth=3 if is_firm else 2,
        solid_capstyle="round",
    )
    for end, edge, marker in ((bar.lower, low, "<"), (bar.upper, high, ">")):
        if end is None or not low <= end <= high:
            axes.plot(edge, y, marker=marker, markersize=7, color=colour, clip_on=False)
    if low <= bar.effect <= high:
        axes.plot(
            bar.effect,
            y,
            marker=MARKERS[bar.tone],
            markersize=9 if bar.tone != "worse" else 8,
            markerfacecolor=colour if is_firm else SURFACE,
            markeredgecolor=colour,
            markeredgewidth=2,
            zorder=3,
        )


def _ends(
    lower: float | None, upper: float | None, low: float, high: float, y: float
) -> tuple[list[float], list[float]]:
    start = low if lower is None else max(lower, low)
    end = high if upper is None else min(upper, high)
    return [start, end], [y, y]


def _relative_range(bars: Sequence[Bar]) -> tuple[float, float]:
    """Return an axis that holds zero, every effect, every limit and the ends that are near."""
    nearest, farthest = FARTHEST
    values = [0.0]
    for bar in bars:
        ends = [bar.lower, bar.upper, *(bar.beside or ())]
        values += [min(max(end, nearest), farthest) for end in ends if end is not None]
        values += [each for each in (bar.effect, bar.limit) if each is not None]
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = -0.1, 0.1
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def _courses(shown: Sequence[Course], size: Size) -> Drawing:
    is_wide = size == "wide"
    width = WIDTHS[size]
    columns = 2 if is_wide and len(shown) > 1 else 1
    gap, panel = 36, (168 if is_wide else 176)
    each = (width - gap * (columns - 1)) / columns
    rows = -(-len(shown) // columns)
    drawing = Drawing(width, rows * panel)
    for number, course in enumerate(shown):
        left = (number % columns) * (each + gap)
        top = (number // columns) * panel
        drawing.write(left, top + 16, _cut(course.label, 32), fontsize=13)
        drawing.write(left, top + 32, _cut(course.text, 60), fontsize=11, color=MUTED)
        axes = drawing.axes(left + 92, top + 42, each - 96, panel - 42 - 30)
        _course(drawing, axes, course)
    return drawing


def _course(drawing: Drawing, axes: Axes, course: Course) -> None:
    colour = COLOURS[course.tone]
    low, high = _course_range(course)
    axes.set_ylim(low, high)
    first, last = course.x[0], course.x[-1]
    axes.set_xlim(first - 0.3, max(last, first + 1) + 0.3)
    ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axes.set_yticks(ticks, [drawing.label(course.y_text(tick)) for tick in ticks])
    for tick in ticks:
        axes.axhline(tick, color=RULE, linewidth=1, zorder=0)
    axes.axhline(0, color=MUTED, linewidth=1.2, zorder=1)
    days = sorted({first, first + (last - first) // 2, last})
    axes.set_xticks(days, [drawing.label(course.x_text(each)) for each in days])
    anchors: dict[int, Literal["left", "right"]] = {first: "left", last: "right"}
    for day, tick_label in zip(days, axes.get_xticklabels(), strict=True):
        tick_label.set_horizontalalignment(
            anchors.get(day, "center") if len(days) > 1 else "center"
        )
    if course.limit is not None:
        axes.axhline(course.limit, color=INK, linewidth=1.4, linestyle=(0, (2, 2)), zorder=2)
    far = 10 * (high - low)
    axes.fill_between(
        course.x,
        [low - far if end is None else max(end, low - far) for end in course.lower],
        [high + far if end is None else min(end, high + far) for end in course.upper],
        color=colour,
        alpha=0.22,
        linewidth=0,
    )
    axes.plot(
        course.x,
        course.effect,
        color=colour,
        linewidth=2.2,
        marker=MARKERS[course.tone],
        markersize=4.5,
        markevery=[-1] if len(course.x) > 1 else None,
        zorder=3,
    )


def _course_range(course: Course) -> tuple[float, float]:
    """Return an axis for the later three quarters; the first days know next to nothing."""
    start = len(course.x) // 4
    values = [0.0, *course.effect[start:]]
    nearest, farthest = course.farthest or (-math.inf, math.inf)
    ends = (*course.lower[start:], *course.upper[start:])
    values += [min(max(end, nearest), farthest) for end in ends if end is not None]
    if course.limit is not None:
        values.append(course.limit)
    low, high = min(values), max(values)
    if high - low < 1e-12:
        low, high = -1.0, 1.0
    pad = 0.06 * (high - low)
    return low - pad, high + pad


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
