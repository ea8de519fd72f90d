"""The alphabet of inline SVG: elements, scales and the round numbers on axes.

Every attribute and every text is escaped here, so whoever draws with these functions can't inject markup.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import count, takewhile

_NEGATIVE = re.compile(r"(?<![\w.-])-(?=[0-9])")
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MINUTE = 60


def element(name: str, *content: str, **attributes: str | float) -> str:
    """One element around ``content`` (markup); ``class_`` is class, ``_`` in a name is ``-``; numbers to two decimals."""
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(content)}</{name}>"


def text(content: str) -> str:
    """``content`` as markup that shows it, with a true minus before a figure and a dash for what is unknown."""
    return "\N{EN DASH}" if content == "-" else escape(_NEGATIVE.sub("\N{MINUS SIGN}", content))


def label(content: str, **attributes: str | float) -> str:
    """A text element."""
    return element("text", text(content), **attributes)


def tooltip(content: str) -> str:
    """What a reader sees who rests on the element around it."""
    return element("title", text(content))


def drawing(width: float, height: float, description: str, parts: Iterable[str]) -> str:
    """An SVG of its own that scales with the page; description: what it shows, for readers who can't see it."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_label=description,
        preserveAspectRatio="xMidYMid meet",
    )


def path(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """The ``d`` of a line through ``points``."""
    line = "L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return f"M{line}{'Z' if closed else ''}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps low..high of the data to start..end of the drawing. low must differ from high."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where ``value`` lies in the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, wanted: int) -> tuple[list[float], int]:
    """About ``wanted`` round numbers within low..high (low < high), and the decimals that tell them apart."""
    rough = (high - low) / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * magnitude for nice in _NICE if nice * magnitude >= rough * 0.8)
    decimals = max(0, -math.floor(math.log10(step)))
    if not math.isclose(step * 10**decimals, round(step * 10**decimals)):
        decimals += 1
    first = math.ceil(low / step - 1e-9)
    numbers = takewhile(lambda number: number <= high + step * 1e-9, (index * step for index in count(first)))
    return list(numbers), decimals


def time_ticks(start: datetime, end: datetime, wanted: int) -> list[tuple[datetime, str]]:
    """About ``wanted`` round instants within start..end with their labels in UTC."""
    span = (end - start).total_seconds()
    step = next((seconds for seconds in _SECONDS if seconds * wanted >= span), _SECONDS[-1])
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = math.ceil((start - midnight).total_seconds() / step)
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M"
    instants = takewhile(lambda at: at <= end, (midnight + timedelta(seconds=index * step) for index in count(first)))
    return [(at, at.strftime(form)) for at in instants]


def day_ticks(start: datetime, end: datetime, wanted: int) -> list[tuple[datetime, str]]:
    """About ``wanted`` midnights (UTC) within start..end with their dates; ``time_ticks`` where that is less than two days."""
    days = (end - start) / timedelta(days=1)
    if days < 2:  # noqa: PLR2004 - one date says nothing of what lies between
        return time_ticks(start, end, wanted)
    step = max(1, math.ceil(days / wanted))
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    instants = takewhile(lambda at: at <= end, (midnight + timedelta(days=index * step) for index in count()))
    return [(at, at.strftime("%Y-%m-%d")) for at in instants]


def _name(key: str) -> str:
    return key if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value, quote=True)
    return f"{value:.2f}".rstrip("0").rstrip(".")
