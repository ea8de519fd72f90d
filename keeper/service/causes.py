"""Why a fund's equity changed, day by day: its readings, fills and postings as the journal has them, attributed by cause.

A reading is a NAV point with what it is made of. A run's fills lie between the readings of its attempts, whatever
the venue's clock says; what the venue's ledger told lies before the first reading at its time or later, and is valued by the
prices of that one. Days are UTC, and a stretch of time belongs to the day that its middle is in.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from keeper.accounting.daily import PLACES, Attribution, Booking, Item, Part, Reading, Step, Trade, steps_of, summed
from keeper.accounting.following import APART, PREFIX
from keeper.accounting.nav import Books, enter
from keeper.domain.ledger import BookEntry, Ledger
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ONE, ZERO, exact, plain, rounded
from keeper.domain.order import Fill
from keeper.domain.run import NavCause, NavPoint, Run
from keeper.domain.statement import Booked, PostingKind
from keeper.planning.plan import EMERGENCY, GUARD, last_targets
from keeper.service.documents import Document, utc_text
from keeper.service.spreadsheet import csv_text

CAUSES = tuple(str(part) for part in Part)
COLUMNS = (
    *("name", "start", "end", "before", "after", "change", *CAUSES),
    *("cost", "cost_bps", "cost_per_unit", "unexplained_bps", "flagged"),
)
DAY, MONTH = "%Y-%m-%d", "%Y-%m"
_BPS_PLACES, _UNIT_PLACES = 4, 12
_PARTS = {
    PostingKind.FUNDING: Part.FUNDING,
    PostingKind.BORROW_INTEREST: Part.BORROW,
    PostingKind.NETWORK_FEE: Part.FEES,
    PostingKind.OTHER: Part.FEES,
    PostingKind.DEPOSIT: Part.FLOWS,
    PostingKind.WITHDRAWAL: Part.FLOWS,
    PostingKind.TRANSFER: Part.FLOWS,
}
"""What a posting is to the equity; a trading fee is none, since our fills tell it."""
CLOCKS_APART = timedelta(seconds=2)
"""By how much the venue's clock and ours may be apart, and between which two attempts of a run never follow each other."""
_Happened = Booked | Booking | tuple[Run, Fill]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a fund's days are made from.

    points, postings: oldest first; fills: each with its run's id; markets: what they are on record to be, by symbol.
    """

    points: Sequence[NavPoint] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    fills: Sequence[tuple[str, Fill]] = ()
    markets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    postings: Sequence[Booked] = ()
    ledger: Ledger = field(default_factory=Ledger)


def flows_of(ledger: Ledger, postings: Sequence[Booked]) -> tuple[tuple[datetime, Decimal], ...]:
    """When money came into the account (above 0) or left it, currency, oldest first: each flow once, by the venue's word."""
    told = [(one.posting.at, one.value) for one in postings if one.posting.kind.is_flow and one.value is not None]
    return tuple(sorted([*told, *((entry.at, amount) for entry, amount in _untold(ledger, postings))]))


def _untold(ledger: Ledger, postings: Sequence[Booked]) -> list[tuple[BookEntry, Decimal]]:
    """The moves of ``ledger`` that no posting tells of.

    An entry that was made of a posting has one, though it be an old one. So has what opened the books on money that was told
    before: that posting belongs to no entry.
    """
    known = {one.entry for one in postings if one.entry}
    loose = [one for one in postings if one.posting.kind.is_flow and not one.entry]
    found = []
    for entry, amount in ledger.moves:
        if entry.id in known or entry.id.startswith(PREFIX):
            continue
        same = (one for one in loose if one.value == amount and abs(one.posting.at - entry.at) <= APART)
        if (match := next(same, None)) is None:
            found.append((entry, amount))
        else:
            loose.remove(match)
    return found


@exact
def steps_of_past(past: Past) -> tuple[Step, ...]:
    """Every step between two readings of a fund, oldest first; none of before what they are made of was kept."""
    points = [point for point in past.points if point.exposures is not None and point.prices is not None]
    currency = points[-1].currency if points else ""
    points = [point for point in points if point.currency == currency]
    markets = {symbol: market_of(symbol, identity) for symbol, identity in past.markets.items()}
    between = _placed(past, points, markets)
    items: list[Item] = []
    for number, point in enumerate(points):
        valued = _Values(currency, markets, point.prices or {})
        items += [_item(one, valued) for one in between[number]]
        items.append(_reading(point, past.runs.get(point.run)))
    return steps_of(items)


def market_of(symbol: str, identity: Mapping[str, object]) -> Market:
    """The market that a journal has on record, as far as it tells: what its contracts are, nothing of how they trade."""
    base, quote, settle = (str(identity[name]) for name in ("base", "quote", "settle"))
    kind, size = MarketKind(str(identity["kind"])), Decimal(str(identity["contract_size"]))
    return Market(symbol=symbol, kind=kind, base=base, quote=quote, settle=settle, contract_size=size, tick=ONE, lot=ONE)


@exact
def causes_document(past: Past, holds: Callable[[datetime], bool]) -> Document | None:
    """The changes of equity by day, by month and over a period, and since the first reading; None where it has no step.

    holds: whether an instant lies in the period. What a row says is exact: its parts sum to its change.
    """
    steps = steps_of_past(past)
    inside = [step for step in steps if holds(step.middle)]
    if not inside:
        return None
    units = _Units(past.ledger)
    days = [_row(name, group, units) for name, group in _grouped(inside, DAY)]
    return {
        "days": days,
        "months": [_row(name, group, units) for name, group in _grouped(inside, MONTH)],
        "total": _row("total", inside, units),
        "since_start": _row("since_start", steps, units),
        "unexplained": [row["name"] for row in days if row["flagged"]],
    }


@dataclass(frozen=True, slots=True)
class _Values:
    """What assets are worth at a reading. prices: currency, by market or asset."""

    currency: str
    markets: Mapping[str, Market]
    prices: Mapping[str, Decimal]

    def price(self, asset: str) -> Decimal | None:
        """Currency per unit of ``asset``; None where the reading does not tell."""
        if asset == self.currency:
            return ONE
        if asset in self.prices:
            return self.prices[asset]
        found = (self.prices[symbol] for symbol, market in self.markets.items() if market.base == asset and symbol in self.prices)
        return next(found, None)

    def posting(self, one: Booked) -> Decimal:
        """What a posting came to, currency; 0 where nothing ever priced its asset."""
        price = self.price(one.posting.asset)
        return one.posting.amount * price if price is not None else one.value or ZERO


class _Units:
    """How many units a fund had when."""

    def __init__(self, ledger: Ledger) -> None:
        self._known: list[tuple[datetime, Decimal]] = []
        books: Books | None = None
        for item in ledger.items:
            if isinstance(item, BookEntry):
                books = enter(books, item)
                self._known.append((item.at, books.units))

    def at(self, when: datetime) -> Decimal | None:
        """Units at ``when``; None before there were any."""
        return next((units for at, units in reversed(self._known) if at <= when and units), None)


def _placed(past: Past, points: Sequence[NavPoint], markets: Collection[str]) -> list[list[_Happened]]:
    """What happened before each of ``points`` and after the one before it; what happened after the last comes last."""
    times = [point.at for point in points]
    between: list[list[_Happened]] = [[] for _ in range(len(points) + 1)]
    for posting in past.postings:
        if posting.posting.kind in _PARTS:
            between[bisect_left(times, posting.posting.at)].append(posting)
    for entry, amount in _untold(past.ledger, past.postings):
        between[bisect_left(times, entry.at)].append(Booking(at=entry.at, part=Part.FLOWS, amount=amount))
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, point in enumerate(points):
        first.setdefault(point.run, number)
        if point.cause is NavCause.AFTER:
            last[point.run] = number
    for run_id, fill in past.fills:
        if _rested(past.runs.get(run_id)) and fill.symbol in markets:  # it went off whenever it did, by no reading of its run
            between[bisect_left(times, fill.at)].append((past.runs[run_id], fill))
        if run_id in first and run_id in past.runs and fill.symbol in markets:
            place = _within(points, bisect_left(times, fill.at), run_id, fill.at)
            place = min(max(place, first[run_id] + 1), last.get(run_id, len(points)))
            between[place].append((past.runs[run_id], fill))
    return between


def _rested(run: Run | None) -> bool:
    """Whether the orders of ``run`` are stops."""
    return run is not None and run.key.trigger.startswith(GUARD)


def _within(points: Sequence[NavPoint], place: int, run: str, at: datetime) -> int:
    """The number of the point before which a fill of ``run`` lies: after that attempt's beginning, and before its end."""
    while place < len(points) and points[place].at - at <= CLOCKS_APART and _begins(points[place], run):
        place += 1
    while place and at - points[place - 1].at <= CLOCKS_APART and _ends(points[place - 1], run):
        place -= 1
    return place


def _begins(point: NavPoint, run: str) -> bool:
    return point.run == run and point.cause is not NavCause.AFTER


def _ends(point: NavPoint, run: str) -> bool:
    return point.run == run and point.cause is NavCause.AFTER


def _item(happened: _Happened, valued: _Values) -> Item:
    match happened:
        case Booked():
            part, amount = _PARTS[happened.posting.kind], valued.posting(happened)
            return Booking(at=happened.posting.at, part=part, amount=amount)
        case Booking():
            return happened
        case (run, fill):
            return _trade(run, fill, valued)


def _reading(point: NavPoint, run: Run | None) -> Reading:
    goes = run is not None and point.cause is not NavCause.AFTER and not run.key.trigger.startswith(EMERGENCY)
    return Reading(
        at=point.at,
        equity=rounded(point.nav, PLACES),  # what divisions left behind is no money
        exposures=point.exposures or {},
        prices=point.prices or {},
        goals=last_targets(run) if goes else None,
    )


def _trade(run: Run, fill: Fill, valued: _Values) -> Trade:
    legs: Any = () if _rested(run) else run.plan.get("legs") or ()  # a stop was decided at the price that set it off
    decided = next((leg["decision_mid"] for leg in legs if (leg["market"], leg["side"]) == (fill.symbol, fill.side)), None)
    return Trade(
        at=fill.at,
        key=fill.symbol,
        base=valued.markets[fill.symbol].to_base(fill.amount, fill.price) * fill.side.sign,
        price=fill.price,
        decided=fill.price if decided is None else Decimal(decided),
        fee=fill.fee * (valued.price(fill.fee_asset) or ZERO),
        urgent=run.key.trigger.startswith((EMERGENCY, GUARD)),
    )


def _grouped(steps: Sequence[Step], form: str) -> list[tuple[str, list[Step]]]:
    return [(name, list(group)) for name, group in groupby(steps, lambda step: step.middle.strftime(form))]


def _row(name: str, steps: Sequence[Step], units: _Units) -> Document:
    whole = summed(steps)
    cost = whole.cost
    return {
        "name": name,
        "start": utc_text(whole.start),
        "end": utc_text(whole.end),
        "before": plain(whole.before),
        "after": plain(whole.after),
        "change": plain(whole.after - whole.before),
        **{str(part): plain(amount) for part, amount in whole.parts.items()},
        "cost": plain(cost),
        "cost_bps": _bps(whole, cost),
        "cost_per_unit": _per_unit(steps, units),
        "unexplained_bps": _bps(whole, whole.parts[Part.UNEXPLAINED]),
        "flagged": whole.flagged,
    }


def _per_unit(steps: Sequence[Step], units: _Units) -> str | None:
    """What each unit bore, day by day: currency; None where there were none."""
    total, is_known = ZERO, False
    for _, day in _grouped(steps, DAY):
        if (found := units.at(day[0].end.at)) is not None:
            total, is_known = total + summed(day).cost / found, True
    return plain(rounded(total, _UNIT_PLACES)) if is_known else None


def _bps(whole: Attribution, amount: Decimal) -> str | None:
    found = whole.bps(amount)
    return None if found is None else plain(rounded(found, _BPS_PLACES))


def causes_as_csv(document: Mapping[str, Any]) -> str:
    """The days of an attribution with a head line; the head line alone where there are none."""
    return csv_text(COLUMNS, (document["attribution"] or {}).get("days", ()))
