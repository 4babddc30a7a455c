"""Charts as Mermaid `xychart-beta`, which GitHub draws itself: no image host, no script of ours."""

from __future__ import annotations

from collections.abc import Sequence

from gitops_ml import wording
from gitops_ml.escape import label
from gitops_ml.report import Curve, Report

# Mermaid's colours are fixed here so that the sentence over the chart can name them; both read on light and dark.
_HEAD = "#3b82f6"
_BASE = "#f59e0b"
_POINTS = 25
_SLICES = 10
# Mermaid reads no exponents, and beyond this a number without one is unreadable.
_LARGEST = 1e9


def charts(report: Report) -> str:
    """The curves of `report` and the primary metric by slice; empty when there is nothing to draw."""
    drawn = [_curve(curve) for curve in report.curves] + [_slices(report)]
    shown = [chart for chart in drawn if chart]
    if not shown:
        return ""
    legend = "Blue is head, orange is the merge base; look at the numbers on the axes, they need not start at zero."
    return "\n\n".join([legend, *shown])


def _curve(curve: Curve) -> str:
    """Head and base over x. The chart sets its points at equal distances, so the curve is read off at such."""
    if not _drawable(*curve.x, *curve.head, *curve.base) or curve.x[0] >= curve.x[-1]:
        return ""
    if len(curve.head) != len(curve.x) or list(curve.x) != sorted(curve.x):
        return ""
    low, high = curve.x[0], curve.x[-1]
    grid = [low + (high - low) * step / (_POINTS - 1) for step in range(_POINTS)]
    lines = [_line(curve.base, curve.x, grid)] if len(curve.base) == len(curve.x) else []
    lines.append(_line(curve.head, curve.x, grid))
    axes = [
        f'x-axis "{label(curve.x_label)}" {_number(low)} --> {_number(high)}',
        f'y-axis "{label(curve.y_label)}" {_bounds(curve.head + curve.base)}',
    ]
    return _chart(curve.title, axes, lines, [_BASE, _HEAD] if len(lines) == 2 else [_HEAD])


def _line(y: Sequence[float], x: Sequence[float], grid: Sequence[float]) -> str:
    return f"line [{', '.join(_number(_at(point, x, y)) for point in grid)}]"


def _at(point: float, x: Sequence[float], y: Sequence[float]) -> float:
    """Linear interpolation; where x stands still (a step), the last value counts."""
    right = next((index for index, value in enumerate(x) if value > point), len(x))
    if right in (0, len(x)):
        return y[min(right, len(y) - 1)]
    share = (point - x[right - 1]) / (x[right] - x[right - 1])
    return y[right - 1] + share * (y[right] - y[right - 1])


def _slices(report: Report) -> str:
    comparison = wording.find(report, "merge base")
    worst = [
        each
        for each in wording.sorted_slices(comparison.slices if comparison else ())
        if each.metric.head is not None and each.metric.base is not None
    ][:_SLICES]
    head = [each.metric.head or 0.0 for each in worst]
    base = [each.metric.base or 0.0 for each in worst]
    if len(worst) < 2 or not _drawable(*head, *base):
        return ""
    names = ", ".join(f'"{label(each.value, 18)}"' for each in worst)
    axes = [f"x-axis [{names}]", f'y-axis "{label(worst[0].metric.name)}" {_bounds([*head, *base])}']
    lines = [
        f"{kind} [{', '.join(map(_number, values))}]" for kind, values in (("bar", head), ("line", base))
    ]
    return _chart("Slices, worst change first", axes, lines, [_HEAD, _BASE])


def _chart(title: str, axes: Sequence[str], lines: Sequence[str], colours: Sequence[str]) -> str:
    theme = f'{{"themeVariables": {{"xyChart": {{"plotColorPalette": "{", ".join(colours)}"}}}}}}'
    body = [f"%%{{init: {theme}}}%%", "xychart-beta", f'title "{label(title, 60)}"', *axes, *lines]
    return "\n".join(["```mermaid", *(body[:2] + ["    " + line for line in body[2:]]), "```"])


def _bounds(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    margin = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    # A share keeps its natural frame; anything else gets a little air.
    if low >= 0 and high <= 1 and high - low > 0.5:
        return "0 --> 1"
    bottom = 0.0 if 0 <= low < margin else low - margin
    return f"{_number(bottom)} --> {_number(high + margin)}"


def _drawable(*values: float) -> bool:
    return all(abs(value) <= _LARGEST for value in values)


def _number(value: float) -> str:
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
