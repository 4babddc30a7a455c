"""Pictures of the HTML report: charts drawn here from numbers, and the run's own SVG files made harmless."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape

from gitops_ml import wording
from gitops_ml.escape import visible
from gitops_ml.report import Curve, Metric

MAX_PICTURE_BYTES = 1024 * 1024
_WIDTH, _HEIGHT = 460, 260
_LEFT, _TOP, _RIGHT, _BOTTOM = 58, 12, 12, 40
_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*|<!DOCTYPE[^>\[]{0,300}>\s*)*<svg[\s>]",
    re.S,
)


def embed(svg: bytes) -> str:
    """`svg` as a data address for `<img>`, or an empty string when it is not a plain SVG file.

    In an `<img>` a browser runs no script of the picture and loads nothing for it. A document type with declarations
    of its own is refused, because a few lines of entities can expand to gigabytes.
    """
    if len(svg) > MAX_PICTURE_BYTES or not _START.match(svg):
        return ""
    try:
        svg.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def interval_bar(metric: Metric) -> str:
    """The change of one metric as a dot on its interval, zero in the middle."""
    if metric.delta is None or metric.interval is None:
        return ""
    low, high = metric.interval.low, metric.interval.high
    reach = max(abs(low), abs(high), abs(metric.delta)) * 1.15
    if not 0 < reach < float("inf"):
        return ""
    left, dot, right = (60 + 58 * (value / reach) for value in (low, metric.delta, high))
    kind = metric.verdict.replace(" ", "-")
    return (
        f'<svg class="bar {kind}" viewBox="0 0 120 16" width="120" height="16" role="img" '
        f'aria-label="interval of the change"><line class="zero" x1="60" x2="60" y1="0" y2="16"/>'
        f'<line class="range" x1="{left:.1f}" x2="{right:.1f}" y1="8" y2="8"/>'
        f'<circle cx="{dot:.1f}" cy="8" r="3.5"/></svg>'
    )


def curve(each: Curve) -> str:
    """A line chart of head and base with axes; every point tells its numbers when pointed at."""
    sides = [("base", each.base), ("head", each.head)]
    drawn = [(name, values) for name, values in sides if len(values) == len(each.x)]
    ys = [value for _, values in drawn for value in values]
    if not ys:
        return ""
    frame = _Frame(min(each.x), max(each.x), min(ys), max(ys))
    parts = [frame.axes(each.x_label, each.y_label)]
    for name, values in drawn:
        points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(each.x, values, strict=True))
        parts.append(f'<polyline class="{name}" points="{points}"/>')
        parts += [
            f'<circle class="{name}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="2.5">'
            f"<title>{name}: {wording.plain(x)}, {wording.plain(y)}</title></circle>"
            for x, y in zip(each.x, values, strict=True)
        ]
    label = f"{each.title}: {each.y_label} over {each.x_label}, of {' and '.join(name for name, _ in drawn)}"
    return (
        f"<figure><figcaption>{escape(visible(each.title, 80))}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(visible(label, 200))}">'
        f"{''.join(parts)}</svg>"
        f'<p class="key"><span class="head">head</span> <span class="base">merge base</span></p></figure>'
    )


def history(title: str, y_label: str, points: Sequence[tuple[float, float, str]]) -> str:
    """One line over `points` (x, y, what to say of the point); each is also told to who cannot see it."""
    if len(points) < 2:
        return ""
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    frame = _Frame(min(xs), max(xs), min(ys), max(ys))
    line = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y, _ in points)
    dots = "".join(
        f'<circle class="dot" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5">'
        f"<title>{escape(visible(said, 120))}</title></circle>"
        for x, y, said in points
    )
    label = f"{title}: from {wording.plain(ys[0])} to {wording.plain(ys[-1])} over {len(points)} releases"
    return (
        f"<figure><figcaption>{escape(visible(title, 80))}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(visible(label, 200))}">'
        f'{frame.axes("commit of main", y_label)}<polyline class="head" points="{line}"/>{dots}</svg></figure>'
    )


class _Frame:
    """Maps numbers to places in the chart."""

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        # Halves are subtracted so that the widest finite numbers do not overflow.
        self._left, self._low = left, low
        self._wide = (right / 2 - left / 2) or 0.5
        self._tall = (high / 2 - low / 2) or 0.5
        self._ends = (left, right, low, high)

    def x(self, value: float) -> float:
        return _LEFT + (value / 2 - self._left / 2) / self._wide * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value / 2 - self._low / 2) / self._tall * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, x_label: str, y_label: str) -> str:
        left, right, low, high = self._ends
        floor, middle = _HEIGHT - _BOTTOM, (_LEFT + _WIDTH - _RIGHT) / 2
        texts: Sequence[tuple[float, float, str, str]] = (
            (_LEFT, floor + 15, "middle", wording.plain(left)),
            (_WIDTH - _RIGHT, floor + 15, "end", wording.plain(right)),
            (_LEFT - 6, floor, "end", wording.plain(low)),
            (_LEFT - 6, _TOP + 8, "end", wording.plain(high)),
            (middle, floor + 32, "middle", visible(x_label, 60)),
        )
        drawn = "".join(
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
            for x, y, anchor, text in texts
        )
        turned = f'<text transform="translate(12 {(_TOP + floor) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        return (
            f'<path class="axis" d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}"/>{drawn}'
            f"{turned}{escape(visible(y_label, 40))}</text>"
        )
