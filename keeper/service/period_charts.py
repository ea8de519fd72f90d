"""The drawings of a period: worth against ideal and market, leverage over time with its levels, cost by cause.

Floats are for positions on the page only; every figure that is written comes from the document.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from keeper.service import figures
from keeper.service.documents import PARTS
from keeper.service.svg import Scale, day_ticks, drawing, element, label, path, ticks, tooltip

WIDTH = 960.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 84.0, 14.0, 30.0
_HEIGHT = 300.0
MOST_BARS = 62
_APART = 14.0
Rows = Sequence[Mapping[str, Any]]


def worth_chart(rows: Rows) -> str:
    """What 100 became: the fund, the ideal multiple, and each market by itself. Empty where less than two rows tell."""
    known = [row for row in rows if row["prices"] and row["nav"]]
    if len(known) < 2:  # noqa: PLR2004 - a line takes two points
        return ""
    times = [_at(row) for row in known]
    lines = {
        "fund": [100 * float(row["fund_path"] or 1) for row in known],
        "ideal": [100 * float(row["ideal_path"] or 1) for row in known],
    }
    for symbol, first in known[0]["prices"].items():
        prices = [float(row["prices"].get(symbol, "nan")) for row in known]
        if all(price == price for price in prices):  # noqa: PLR0124 - what has no price all the way is not drawn
            lines[symbol] = [100 * price / float(first) for price in prices]
    everything = [value for line in lines.values() for value in line]
    across, up = _scales(times, min(everything), max(everything))
    parts = [*_axes(across, up, times, ".0f", "")]
    for kind, (name, line) in zip(("fund", "ideal", *["market"] * len(lines)), lines.items(), strict=False):
        points = [(across(at.timestamp()), up(value)) for at, value in zip(times, line, strict=True)]
        words = f"{name}: 100 became {line[-1]:,.2f}"
        parts.append(element("path", tooltip(words), class_=f"worth {kind}", d=path(points)))
    parts += _ends({name: (line[-1], f"{figures.base_asset(name)} {line[-1]:,.1f}") for name, line in lines.items()}, up)
    return drawing(WIDTH, _HEIGHT, "What 100 became: the fund, the ideal multiple and the market", parts)


def leverage_chart(rows: Rows) -> str:
    """Net leverage before and after each run, as the line it went, and the targets' sum. Empty where less than two rows tell.

    Of a fund of one market with the edges of its band, and the level that counts as an emergency, as the last run had them.
    """
    known = [row for row in rows if row["leverage_before"] is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line takes two points
        return ""
    times = [_at(row) for row in known]
    points = []
    for at, row in zip(times, known, strict=True):
        points.append((at, float(row["leverage_before"])))
        if row["leverage_after"] is not None:
            points.append((at, float(row["leverage_after"])))
    goals = [(at, sum(float(target) for target in row["targets"].values())) for at, row in zip(times, known, strict=True)]
    levels = _levels(known)
    values = [value for _, value in (*points, *goals)] + [value for _, value in levels]
    across, up = _scales(times, min(values), max(values))
    steps = [(goals[0][0], goals[0][1])]
    for (_, before), (at, goal) in pairwise(goals):
        steps += [(at, before), (at, goal)]
    parts = [
        *_axes(across, up, times, ".2f", "x"),
        element("path", tooltip("target"), class_="goal", fill="none", d=_line(steps, across, up)),
        element("path", tooltip("net leverage"), class_="worth fund", d=_line(points, across, up)),
    ]
    parts += [
        element("line", tooltip(f"{cause} {level:.2f}x"), class_=f"level {cause}", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y)
        for cause, level in levels
        for y in (up(level),)
    ]
    ends = {f"{cause} {level}": (level, f"{cause} {level:.2f}x") for cause, level in levels}
    parts += _ends(ends | {"target": (goals[-1][1], f"target {goals[-1][1]:.2f}x")}, up)
    return drawing(WIDTH, _HEIGHT, "Net leverage before and after each run, and the target", parts)


def _levels(rows: Rows) -> list[tuple[str, float]]:
    """Cause and leverage of what bounds a fund of one market; none where no run tells, or there are more."""
    row = next((row for row in reversed(rows) if row.get("levels")), None)
    if row is None or len(row["targets"]) != 1:
        return []
    return sorted({(str(level["cause"]), float(level["leverage"])) for level in row["levels"]})


def cost_chart(rows: Rows) -> str:
    """What trading cost by cause, a bar for each day, or month where days would be too many: gains below the line."""
    form = "%Y-%m-%d" if len({_at(row).date() for row in rows}) <= MOST_BARS else "%Y-%m"
    bars = {
        name: {part: sum(float(row[part]) for row in group) for part in PARTS}
        for name, group in ((name, list(group)) for name, group in groupby(rows, lambda row: _at(row).strftime(form)))
    }
    return stack_chart(bars, PARTS, "What trading cost, by cause")


def stack_chart(bars: Mapping[str, Mapping[str, float]], kinds: Sequence[str], title: str) -> str:
    """A bar for each of ``bars``, its values stacked in the order of ``kinds``: gains below the line. Empty where all are 0."""
    ends = [sum(value for value in bar.values() if value * side > 0) for bar in bars.values() for side in (-1, 1)]
    if not any(ends):
        return ""
    up = Scale(min(0.0, *ends), max(0.0, *ends) or 1.0, _HEIGHT - _BOTTOM, _TOP)
    width = (WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = [*_grid(up, ",.2f", "")]
    for index, (name, bar) in enumerate(bars.items()):
        left, reached = _LEFT + index * width, {-1: 0.0, 1: 0.0}
        for part in kinds:
            if not (value := bar[part]):
                continue
            side = 1 if value > 0 else -1
            top, bottom = sorted((up(reached[side]), up(reached[side] + value)))
            reached[side] += value
            words = tooltip(f"{name} {part} {value:,.4f}")
            wide = max(width * 0.8, 0.75)
            parts.append(
                element("rect", words, class_=part, x=left + width * 0.1, y=top, width=wide, height=max(bottom - top, 0.5))
            )
        if index % max(1, round(len(bars) / 8)) == 0:
            parts.append(label(name, x=left + width / 2, y=_HEIGHT - _BOTTOM + 20, text_anchor="middle"))
    parts.append(element("line", class_="axis", x1=_LEFT, x2=WIDTH - _RIGHT, y1=up(0), y2=up(0)))
    return drawing(WIDTH, _HEIGHT, title, parts)


def _at(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(row["at"])


def _scales(times: Sequence[datetime], low: float, high: float) -> tuple[Scale, Scale]:
    span = times[-1] - times[0] or timedelta(minutes=1)
    margin = max((high - low) * 0.06, abs(high) * 0.002, 1e-6)
    across = Scale(times[0].timestamp(), (times[0] + span).timestamp(), _LEFT, WIDTH - _RIGHT)
    return across, Scale(low - margin, high + margin, _HEIGHT - _BOTTOM, _TOP)


def _line(points: Sequence[tuple[datetime, float]], across: Scale, up: Scale) -> str:
    return path([(across(at.timestamp()), up(value)) for at, value in points])


def _grid(up: Scale, form: str, unit: str) -> list[str]:
    parts = []
    for number in ticks(up.low, up.high, 5)[0]:
        y = up(number)
        parts.append(element("line", class_="grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
        parts.append(label(f"{number:{form}}{unit}", x=_LEFT - 8, y=y + 4, text_anchor="end"))
    return parts


def _axes(across: Scale, up: Scale, times: Sequence[datetime], form: str, unit: str) -> list[str]:
    decimals = ticks(up.low, up.high, 5)[1]
    y = _HEIGHT - _BOTTOM
    parts = _grid(up, form if not decimals else f",.{decimals}f", unit)
    parts.append(element("line", class_="axis", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
    for at, words in day_ticks(times[0], times[-1], 8):
        x = across(at.timestamp())
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 5))
        parts.append(label(words, x=x, y=y + 20, text_anchor="middle"))
    return parts


def _ends(ends: Mapping[str, tuple[float, str]], up: Scale) -> list[str]:
    """Labels at the right end of each line, moved down where they would run into the one above."""
    parts, above = [], float("-inf")
    for value, words in sorted(ends.values(), reverse=True):
        y = max(up(value) + 4, above + _APART)
        above = y
        parts.append(label(words, x=WIDTH - _RIGHT + 6, y=y))
    return parts
