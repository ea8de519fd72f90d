"""A run while it trades: one line per leg, redrawn in place on a terminal, one plain line per slice anywhere else.

Shows only what it is given and never waits: no thread and no clock of its own.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from keeper.domain.numbers import exact
from keeper.service import figures
from keeper.service.progress import LegProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

_WIDEST_BAR = 24
_NARROWEST_BAR = 6
_GAP = 1
_AT_WORK = "working"


class LiveProgress:
    """A Progress on ``console``, which should write to stderr so that stdout stays the command's own."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._live: Live | None = None
        self._said: dict[tuple[str, str], tuple[int, Decimal, str]] = {}

    def update(self, legs: Sequence[LegProgress], at: datetime) -> None:
        """Show every leg as of ``at`` (aware UTC)."""
        if self._console.is_terminal:
            self._redraw(legs, at)
        else:
            self._say_what_changed(legs, at)

    def close(self) -> None:
        """Leave the last state on the screen. May be called more than once."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _redraw(self, legs: Sequence[LegProgress], at: datetime) -> None:
        from rich.live import Live

        table = legs_table(legs, at, self._console.width)
        if self._live is None:
            self._live = Live(table, console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        self._live.update(table, refresh=True)

    def _say_what_changed(self, legs: Sequence[LegProgress], at: datetime) -> None:
        for leg in legs:
            key, now = (leg.market, leg.side.value), (leg.slice, leg.filled, leg.state)
            if self._said.get(key) != now:
                self._said[key] = now
                self._console.print(plain_line(leg, at), markup=False, highlight=False, soft_wrap=True)


def plain_line(leg: LegProgress, at: datetime) -> str:
    """One leg as a line of text."""
    filled, cost, count, left = _cells(leg, at)
    if leg.average is not None:
        cost = f"average {figures.price(leg.average)}, {cost} against arrival"
    return f"{leg.market} {leg.side} {filled} ({_share(leg):.0%}), {cost}, slice {count}, {left}"


def legs_table(legs: Sequence[LegProgress], at: datetime, width: int) -> "Table":
    """Every leg as one row of at most ``width`` columns; the bar takes what the figures leave, down to nothing."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, _GAP, 0, 0))
    rows = [(leg.market, leg.side.value, *_cells(leg, at)) for leg in legs]
    taken = sum(max(len(row[column]) for row in rows) + _GAP for column in range(len(rows[0]))) if rows else 0
    bar = min(_WIDEST_BAR, width - taken - _GAP)
    for leg, row in zip(legs, rows, strict=True):
        market, side, filled, cost, count, left = row
        shown = [ProgressBar(total=1, completed=float(_share(leg)), width=bar)] if bar >= _NARROWEST_BAR else []
        colour = "green" if side == "buy" else "magenta"
        table.add_row(
            Text(market), Text(side, style=colour), *shown, Text(filled), Text(cost), Text(count), Text(left, style="dim")
        )
    return table


def _cells(leg: LegProgress, at: datetime) -> tuple[str, str, str, str]:
    """Filled of planned, average against arrival, slice of slices, time left or the state that ended the leg."""
    cost = "no fill yet"
    if leg.average is not None:
        cost = f"{figures.bps(figures.against(leg.average, leg.arrival, leg.side.sign), signed=True)} bps"
    left = leg.ends_at - at
    return (
        f"{figures.amount(leg.filled)}/{figures.amount(leg.planned)}",
        cost,
        f"{leg.slice}/{max(leg.slice, leg.slices)}",  # a remainder may take a slice more than was planned
        f"{figures.duration(left)} left" if leg.state == _AT_WORK else leg.state,
    )


@exact
def _share(leg: LegProgress) -> Decimal:
    """Filled of planned, from 0 to 1."""
    return min(leg.filled / leg.planned, Decimal(1)) if leg.planned else Decimal(0)
