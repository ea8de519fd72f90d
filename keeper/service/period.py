"""What a fund did over a period: its worth against the ideal multiple and the market, its leverage, what trading cost.

Made from the runs that the journal holds; each of them recorded NAV, prices and targets as it began.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from keeper.accounting.tracking import Mark, Step, Tracking, track
from keeper.domain.numbers import BPS, ZERO, exact, plain, rounded
from keeper.domain.order import Fill
from keeper.domain.run import Run
from keeper.domain.statement import Booked
from keeper.planning.plan import EMERGENCY, GUARD
from keeper.service.documents import PARTS, Document, utc_text
from keeper.service.spreadsheet import csv_text

Moves = Sequence[tuple[datetime, Decimal]]
_PERIOD = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?")
_DECEMBER = 12
_RATIO_PLACES, _BPS_PLACES, _MONEY_PLACES = 8, 4, 8
COLUMNS = (
    *("run", "at", "status", "nav", "leverage_before", "leverage_after", "gross_leverage_before", "gross_leverage_after"),
    *("flow", "traded", "fund_return", "ideal_return", "difference_bps", *PARTS, "cost"),
)
POSTING_COLUMNS = ("at", "kind", "market", "asset", "amount", "value", "currency", "id")
FILL_COLUMNS = ("at", "market", "side", "amount", "price", "fee", "fee_asset", "trade_id", "client_id", "run")


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` (aware UTC) up to, but not including, ``end``; None where it has no such bound."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


def parse_period(text: str) -> Period:
    """Such as ``2026``, ``2026-03``, ``2026-03-05``, ``2026-03-05..2026-04`` (both included) or ``all``; ValueError otherwise."""
    if text == "all":
        return Period()
    first, dots, last = text.partition("..")
    start, end = _bounds(first)
    if dots:
        end = _bounds(last)[1]
    if end <= start:
        message = f"{text!r} ends before it begins"
        raise ValueError(message)
    return Period(start, end)


def _bounds(text: str) -> tuple[datetime, datetime]:
    found = _PERIOD.fullmatch(text)
    year, month, day = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    try:
        start = datetime(year, month or 1, day or 1, tzinfo=UTC)
        if day:
            return start, start + timedelta(days=1)
        if not month or month == _DECEMBER:
            return start, datetime(year + 1, 1, 1, tzinfo=UTC)
        return start, datetime(year, month + 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        message = f"{text!r} is no period such as 2026, 2026-03, 2026-03-05, 2026-03-01..2026-03-15 or all (days in UTC)"
        raise ValueError(message) from None


@exact
def period_document(
    fund: str,
    runs: Iterable[Run],
    period: Period,
    moves: Moves = (),
    attribution: Document | None = None,
    carry: Document | None = None,
) -> Document:
    """The period of one fund: what `report --period --json` prints.

    runs: of that fund, in any order; moves: when money came into the account (above 0) or left it, currency; attribution: of
    the changes of its equity, as ``causes`` makes it; carry: what holding its exposure costs, as it was seen last.
    """
    inside = sorted((run for run in runs if period.holds(run.started_at)), key=lambda run: (run.started_at, run.id))
    looked = [(run, mark) for run in inside if (mark := _mark(run)) is not None]
    marked = [(run, replace(mark, flow=_between(moves, before, mark))) for (_, before), (run, mark) in pairwise(looked)]
    marked = [*looked[:1], *marked]
    tracking = track([mark for _, mark in marked])
    steps = dict(zip((run.id for run, _ in marked[1:]), tracking.steps if tracking else (), strict=True))
    flows = {run.id: mark.flow for run, mark in marked}
    cost = {part: sum((_paid(run, part) for run in inside), ZERO) for part in PARTS}
    mean = sum((mark.nav for _, mark in marked), ZERO) / len(marked) if marked else None
    known = [nav for run in inside if (nav := (run.result or {}).get("nav_after") or run.plan.get("nav")) is not None]
    traded = sum((Decimal(str((run.result or {}).get("filled_notional") or 0)) for run in inside), ZERO)
    return {
        "fund": fund,
        "currency": inside[-1].currency if inside else None,
        "start": utc_text(inside[0].started_at) if inside else None,
        "end": utc_text(inside[-1].ended_at or inside[-1].started_at) if inside else None,
        "runs": {str(status): count for status, count in _counted(inside).items()},
        "nav_first": _money(marked[0][1].nav) if marked else None,
        "nav_last": str(known[-1]) if known else None,
        "flows": _money(sum((mark.flow for _, mark in marked), ZERO)),
        "traded": _money(traded),
        "turnover": _ratio(traded / mean) if mean else None,
        "cost": {**{part: _money(value) for part, value in cost.items()}, "total": _money(sum(cost.values(), ZERO))},
        "cost_bps": {
            **{part: _in_bps(value, mean) for part, value in cost.items()},
            "total": _in_bps(sum(cost.values(), ZERO), mean),
        },
        "tracking": _tracking(tracking),
        "attribution": attribution,
        "carry": carry,
        "rows": [_row(run, steps.get(run.id), flows.get(run.id, ZERO)) for run in inside],
    }


def rows_as_csv(document: Mapping[str, Any]) -> str:
    """The rows of a period, one run each, with a head line."""
    return csv_text(COLUMNS, document["rows"])


def postings_as_csv(postings: Iterable[Booked]) -> str:
    """What the venue's ledger told, for whoever does the taxes: funding, fees, interest, money that moved."""
    rows = (
        {
            "at": utc_text(one.posting.at),
            "kind": str(one.posting.kind),
            "market": one.posting.symbol,
            "asset": one.posting.asset,
            "amount": plain(one.posting.amount),
            "value": "" if one.value is None else plain(one.value),
            "currency": one.currency,
            "id": one.posting.id,
        }
        for one in postings
    )
    return csv_text(POSTING_COLUMNS, rows)


def fills_as_csv(fills: Iterable[tuple[Run, str, Fill]]) -> str:
    """Every fill with its fee, for whoever does the taxes. fills: each with its run and the client id of its order."""
    rows = (
        {
            "at": utc_text(fill.at),
            "market": fill.symbol,
            "side": str(fill.side),
            "amount": plain(fill.amount),
            "price": plain(fill.price),
            "fee": plain(fill.fee),
            "fee_asset": fill.fee_asset,
            "trade_id": fill.trade_id,
            "client_id": client_id,
            "run": run.id,
        }
        for run, client_id, fill in fills
    )
    return csv_text(FILL_COLUMNS, rows)


def _mark(run: Run) -> Mark | None:
    """What a run found as it began; None for one that never looked, or was recorded before prices were.

    None either for an emergency's, or one that put stops in their place: the ideal goes to its targets at slots, and not there.
    """
    plan: Mapping[str, Any] = run.plan
    marks = plan.get("marks")
    if not plan.get("nav") or not isinstance(marks, Mapping) or not marks or run.key.trigger.startswith((EMERGENCY, GUARD)):
        return None
    nav = Decimal(str(plan["nav"]))
    if nav <= 0:
        return None
    return Mark(
        at=datetime.fromisoformat(str(plan["at"])),
        nav=nav,
        prices={str(symbol): Decimal(str(price)) for symbol, price in marks.items()},
        targets={str(symbol): Decimal(str(target)) for symbol, target in (plan.get("targets") or {}).items()},
    )


def _between(moves: Moves, before: Mark, after: Mark) -> Decimal:
    """What came into the account from one mark to the next."""
    return sum((amount for at, amount in moves if before.at < at <= after.at), ZERO)


def _paid(run: Run, part: str) -> Decimal:
    shortfall: Any = (run.result or {}).get("shortfall") or {}
    return Decimal(str(shortfall.get(part) or 0))


def _counted(runs: Sequence[Run]) -> dict[str, int]:
    found: dict[str, int] = {}
    for run in runs:
        found[run.status] = found.get(run.status, 0) + 1
    return found


def _tracking(tracking: Tracking | None) -> Document | None:
    if tracking is None:
        return None
    return {
        "fund": _ratio(tracking.fund),
        "ideal": _ratio(tracking.ideal),
        "difference_bps": _ratio_in_bps(tracking.difference),
        "error": None if tracking.error is None else _ratio(tracking.error),
        "path": None if tracking.path is None else _ratio(tracking.path),
        "underlying": {symbol: _ratio(move) for symbol, move in tracking.underlying.items()},
    }


def _row(run: Run, step: Step | None, flow: Decimal) -> Document:
    plan: Mapping[str, Any] = run.plan
    result: Mapping[str, Any] = run.result or {}
    return {
        "run": run.id,
        "at": utc_text(run.started_at),
        "status": str(run.status),
        "nav": plan.get("nav"),
        "prices": dict(plan.get("marks") or {}),
        "targets": dict(plan.get("targets") or {}),
        "leverage_before": plan.get("leverage"),
        "leverage_after": result.get("leverage_after"),
        "gross_leverage_before": plan.get("gross_leverage"),
        "gross_leverage_after": result.get("gross_leverage_after"),
        "levels": [{key: level[key] for key in ("cause", "market", "leverage")} for level in plan.get("triggers") or ()],
        "flow": _money(flow),
        "traded": result.get("filled_notional") or "0",
        "fund_return": None if step is None else _ratio(step.fund),
        "ideal_return": None if step is None else _ratio(step.ideal),
        "fund_path": None if step is None else _ratio(step.fund_path),
        "ideal_path": None if step is None else _ratio(step.ideal_path),
        "difference_bps": None if step is None else _ratio_in_bps(step.fund - step.ideal),
        **{part: _money(_paid(run, part)) for part in PARTS},
        "cost": _money(_paid(run, "total")),
    }


def _money(value: Decimal) -> str:
    return plain(rounded(value, _MONEY_PLACES))


def _ratio(value: Decimal) -> str:
    return plain(rounded(value, _RATIO_PLACES))


def _ratio_in_bps(value: Decimal) -> str:
    return plain(rounded(value * BPS, _BPS_PLACES))


def _in_bps(value: Decimal, nav: Decimal | None) -> str | None:
    return plain(rounded(value / nav * BPS, _BPS_PLACES)) if nav else None
