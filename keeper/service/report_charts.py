"""The drawings of a report: a leg's fills over the mid, the way of the leverage, the cost as a stack.

Floats are for positions on the page only; every figure that is written comes from the journal's Decimals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import Any

from keeper.domain.numbers import plain
from keeper.domain.order import Child, Fill
from keeper.service import figures
from keeper.service.documents import PARTS
from keeper.service.svg import Scale, drawing, element, label, path, ticks, time_ticks, tooltip

WIDTH = 960.0
_LEFT, _RIGHT = 84.0, 74.0
_TOP, _BOTTOM, _HEIGHT = 14.0, 30.0, 320.0
_CLOSE = 11.0
_TWO_LABELS = 130.0
_SHORTEST = timedelta(seconds=30)
_CLOCK = "%H:%M:%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPicture:
    """What one chart shows.

    children: of one market, oldest first, at least one; fills: theirs, with their client ids; arrival: quote per base,
    at ``decided_at`` (aware UTC).
    """

    market: str
    children: Sequence[Child]
    fills: Sequence[tuple[str, Fill]]
    arrival: Decimal
    decided_at: datetime


def leg_chart(leg: LegPicture) -> str:
    """Mid and spread at each send, every fill as a dot whose area is its amount, and the arrival price dashed."""
    start, end = _window(leg)
    across = Scale(start.timestamp(), end.timestamp(), _LEFT, WIDTH - _RIGHT)
    low, high = _prices(leg)
    up = Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    mids = [(across(child.at.timestamp()), float(child.mid), float(child.half_spread)) for child in leg.children]
    wide = [(mids[0][0] - 4, *mids[0][1:]), *mids, (mids[-1][0] + 4, *mids[-1][1:])]
    band = [(x, up(mid + half)) for x, mid, half in wide] + [(x, up(mid - half)) for x, mid, half in reversed(wide)]
    arrival = float(leg.arrival)
    line = [(x, up(mid)) for x, mid, _ in mids]
    if start <= leg.decided_at:
        line.insert(0, (across(leg.decided_at.timestamp()), up(arrival)))
    parts = [
        *_price_axis(up, arrival),
        *_time_axis(across, start, end),
        element("path", class_="band", d=path(band, closed=True)),
        element("line", class_="arrival", x1=_LEFT, x2=WIDTH - _RIGHT, y1=up(arrival), y2=up(arrival)),
        element("path", class_="mid", d=path(line)),
        *(
            element("circle", _mid_words(child), class_="knot", cx=x, cy=y, r=2)
            for child, (x, y) in _with_points(leg.children, line)
        ),
        *_marks(leg, across, up),
    ]
    return drawing(WIDTH, _HEIGHT, f"Fills of {leg.market} over the mid price", parts)


def leverage_figure(before: str | None, after: str | None, planned: str | None) -> str:
    """The way from one leverage to the other on a line, with the planned one as a goal. Empty when nothing is known."""
    known = [float(value) for value in (before, after, planned) if value is not None]
    if not known:
        return ""
    spread = max(max(known) - min(known), 0.02 * max(1.0, *(abs(value) for value in known)))
    across = Scale(min(known) - 0.22 * spread, max(known) + 0.22 * spread, 16, WIDTH - 16)
    base = 46.0
    numbers, decimals = ticks(across.low, across.high, 8)
    parts = [element("line", class_="axis", x1=16, x2=WIDTH - 16, y1=base, y2=base)]
    parts += [element("line", class_="axis", x1=across(n), x2=across(n), y1=base - 4, y2=base + 4) for n in numbers]
    parts += [label(f"{n:.{max(decimals, 1)}f}x", x=across(n), y=base + 52, text_anchor="middle") for n in numbers]
    if planned is not None:
        x = across(float(planned))
        parts.append(element("line", class_="goal", x1=x, x2=x, y1=base - 22, y2=base + 14))
        parts.append(label(f"planned {figures.leverage(planned)}", class_="goal-text", x=x, y=base - 28, text_anchor="middle"))
    if before is not None and after is not None:
        parts.append(element("line", class_="way", x1=across(float(before)), x2=across(float(after)), y1=base, y2=base))
    parts += _leverage_ends(across, base, before, after)
    return drawing(WIDTH, base + 58, f"Leverage before {before}, after {after}, planned {planned}", parts)


def cost_bars(realised: Mapping[str, Decimal], predicted: Mapping[str, Decimal], band: Decimal | None) -> str:
    """Predicted and realised cost as stacks on one scale: gains to the left of zero. Values: bps by part; band: bps."""
    rows = [(name, stack) for name, stack in (("predicted", predicted), ("realised", realised)) if stack]
    ends = [0.0]
    for _, stack in rows:
        ends += [float(sum((value for value in stack.values() if value * side > 0), Decimal(0))) for side in (-1, 1)]
    total = float(sum(predicted.values(), Decimal(0)))
    if band is not None and predicted:
        ends += [total - float(band), total + float(band)]
    low, high = min(ends), max(ends)
    across = Scale(low, high if high > low else low + 1, 84, WIDTH - 96)
    parts = []
    for row, (name, stack) in enumerate(rows):
        top = 6 + row * 30.0
        parts.append(label(name, x=0, y=top + 13))
        parts += _stack(stack, across, top)
        whole = sum(stack.values(), Decimal(0))
        parts.append(label(f"{figures.bps(whole)} bps", class_="strong", x=WIDTH, y=top + 13, text_anchor="end"))
    if band is not None and predicted:
        parts.append(_whisker(across, total, float(band), 14))
    height = 6 + len(rows) * 30.0
    parts.append(element("line", class_="axis", x1=across(0), x2=across(0), y1=0, y2=height))
    return drawing(WIDTH, height, "Predicted and realised cost in basis points", parts)


def _with_points(children: Sequence[Child], line: Sequence[tuple[float, float]]) -> list[tuple[Child, tuple[float, float]]]:
    """Each child with its point; the line may have one more in front, the decision's."""
    return list(zip(children, line[len(line) - len(children) :], strict=True))


def _window(leg: LegPicture) -> tuple[datetime, datetime]:
    """The time axis: from the decision, unless it lies so far back that nothing else would show."""
    times = [child.at for child in leg.children] + [fill.at for _, fill in leg.fills]
    first, last = min(times), max(times)
    span = max(last - first, _SHORTEST)
    margin = max(span * 0.02, _SHORTEST - (last - first))
    decided = timedelta(0) <= first - leg.decided_at <= span
    return leg.decided_at if decided else first - margin, last + margin


def _prices(leg: LegPicture) -> tuple[float, float]:
    shown = [leg.arrival, *(fill.price for _, fill in leg.fills)]
    for child in leg.children:
        shown += [child.mid - child.half_spread, child.mid + child.half_spread]
    low, high = float(min(shown)), float(max(shown))
    margin = max((high - low) * 0.09, float(leg.arrival) * 0.00002)
    return low - margin, high + margin


def _price_axis(up: Scale, arrival: float) -> list[str]:
    numbers, decimals = ticks(up.low, up.high, 5)
    parts = []
    for number in numbers:
        y = up(number)
        parts.append(element("line", class_="grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
        parts.append(label(f"{number:,.{decimals}f}", x=_LEFT - 10, y=y + 4, text_anchor="end"))
        if abs(y - up(arrival)) > _CLOSE:
            parts.append(label(f"{(number / arrival - 1) * 10_000:+.1f} bps", x=WIDTH, y=y + 4, text_anchor="end"))
    parts.append(label("arrival", class_="strong", x=WIDTH, y=up(arrival) + 4, text_anchor="end"))
    return parts


def _time_axis(across: Scale, start: datetime, end: datetime) -> list[str]:
    y = _HEIGHT - _BOTTOM
    parts = [element("line", class_="axis", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y)]
    for at, words in time_ticks(start, end, 7):
        x = across(at.timestamp())
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 5))
        parts.append(label(words, x=x, y=y + 20, text_anchor="middle"))
    parts.append(label("UTC", x=WIDTH, y=y + 20, text_anchor="end"))
    return parts


def _marks(leg: LegPicture, across: Scale, up: Scale) -> list[str]:
    sent = {child.request.client_id: child for child in leg.children}
    largest = max((fill.amount for _, fill in leg.fills), default=Decimal(1))
    parts = []
    for child in leg.children:
        if not child.filled:
            asked = f"{child.request.side} {plain(child.request.amount)} contracts"
            words = f"{child.at.strftime(_CLOCK)} {asked}: {child.state}, nothing filled"
            x, y = across(child.at.timestamp()), up(float(child.mid))
            parts.append(element("circle", tooltip(words), class_="none", cx=x, cy=y, r=5))
    for client_id, fill in sorted(leg.fills, key=lambda pair: -pair[1].amount):
        x, y = across(fill.at.timestamp()), up(float(fill.price))
        parent = sent.get(client_id)
        if parent is not None:
            parts.append(element("line", class_="stem", x1=x, x2=x, y1=y, y2=up(float(parent.mid))))
        radius = 2.5 + 5.5 * sqrt(float(fill.amount / largest))
        parts.append(element("circle", tooltip(_fill_words(fill, parent)), class_=f"dot {fill.side}", cx=x, cy=y, r=radius))
    return parts


def _mid_words(child: Child) -> str:
    return tooltip(f"{child.at.strftime(_CLOCK)} mid {figures.price(child.mid)}, half spread {figures.price(child.half_spread)}")


def _fill_words(fill: Fill, child: Child | None) -> str:
    words = f"{fill.at.strftime(_CLOCK)} {fill.side} {plain(fill.amount)} contracts at {figures.price(fill.price)}"
    if child is None:
        return words
    worse = figures.against(fill.price, child.mid, fill.side.sign)
    return f"{words}, {figures.bps(worse, signed=True)} bps against the mid"


def _leverage_ends(across: Scale, base: float, before: str | None, after: str | None) -> list[str]:
    """A circle for each end that is known; labels that would run into each other stand on their outer sides."""
    if before is not None and after is not None and figures.leverage(before) == figures.leverage(after):
        return _leverage_end("after", across(float(after)), base, f"before and after {figures.leverage(after)}", "middle")
    known = {name: value for name, value in (("before", before), ("after", after)) if value is not None}
    places = {name: across(float(value)) for name, value in known.items()}
    near = max(places.values()) - min(places.values()) < _TWO_LABELS if len(places) > 1 else False
    parts = []
    for name, x in places.items():
        anchor = "middle" if not near else ("end" if x == min(places.values()) else "start")
        parts += _leverage_end(name, x, base, f"{name} {figures.leverage(known[name])}", anchor)
    return parts


def _leverage_end(name: str, x: float, base: float, words: str, anchor: str) -> list[str]:
    aside = {"end": -4, "start": 4}.get(anchor, 0)
    return [
        element("circle", class_=name, cx=x, cy=base, r=6),
        label(words, class_="strong", x=x + aside, y=base + 30, text_anchor=anchor),
    ]


def _stack(stack: Mapping[str, Decimal], across: Scale, top: float) -> list[str]:
    reached = {-1: 0.0, 1: 0.0}
    parts = []
    for name in PARTS:
        value = float(stack.get(name, 0))
        if not value:
            continue
        side = 1 if value > 0 else -1
        left, right = sorted((across(reached[side]), across(reached[side] + value)))
        reached[side] += value
        words = tooltip(f"{name} {figures.bps(stack[name])} bps")
        width = max(right - left - 1, 0.75)
        parts.append(element("rect", words, class_=name, x=left, y=top, width=width, height=18, rx=1.5))
    return parts


def _whisker(across: Scale, total: float, band: float, y: float) -> str:
    left, right = across(total - band), across(total + band)
    lines: list[dict[str, Any]] = [
        {"x1": left, "x2": right, "y1": y, "y2": y},
        {"x1": left, "x2": left, "y1": y - 4, "y2": y + 4},
        {"x1": right, "x2": right, "y1": y - 4, "y2": y + 4},
    ]
    return element(
        "g", tooltip("one standard deviation of the estimate"), *(element("line", class_="whisker", **line) for line in lines)
    )
