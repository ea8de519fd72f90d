"""Compares a venue with the journal, by our prefix and by time, and positions with what trades explain. Pure.

A second opinion: it shares no step with how outcomes are recorded, and takes nothing from the journal but rows. What
somebody else traded on the account is listed and counted, and is no difference by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from keeper.domain.fund import Settled
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ZERO, exact, plain
from keeper.domain.order import Child, ChildState, Fill, VenueOrder
from keeper.service.documents import Document, utc_text

SKEW = timedelta(seconds=2)
"""By how much the venue's clock and ours may differ."""


_Traded = tuple[datetime, Decimal, bool]
"""When a trade was, by how many contracts it changed a position, and whether it was ours."""


class Verdict(StrEnum):
    """How one order stands in both books. Those that are no difference come first."""

    AGREES = "agrees"
    IN_FLIGHT = "in_flight"
    ADOPTED = "adopted"
    OPEN = "open"
    MISSING_IN_JOURNAL = "missing_in_journal"
    MISSING_AT_VENUE = "missing_at_venue"
    TWICE_AT_VENUE = "twice_at_venue"
    STATE = "state"
    FILLED = "filled"
    TRADES = "trades"

    @property
    def differs(self) -> bool:
        """Whether the two books can't both be right."""
        return self not in (Verdict.AGREES, Verdict.IN_FLIGHT, Verdict.ADOPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A child as the journal has it, with the fills that were booked for it.

    since_settled: whether it was intended after the fund's holdings were last recorded.
    """

    child: Child
    fills: tuple[Fill, ...] = ()
    since_settled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An order as the venue has it, with its trades."""

    order: VenueOrder
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Both books of one account, read at ``at``; orders placed before ``since`` are beside the point.

    lacking_since: from when on those of ours count that the journal lacks, ``since`` or earlier; ours, theirs: reach back a
    little further than that, and as far as the oldest of ``settled``; settled, held: by symbol, signed contracts; adopted:
    client ids of orders that a human took note of although the journal lacks them; pinned: what the fund's markets are on
    record to be, by symbol, as ``Market.identity`` tells it.
    """

    since: datetime
    lacking_since: datetime
    at: datetime
    markets: Mapping[str, Market]
    ours: Sequence[Recorded]
    theirs: Sequence[Told]
    settled: Mapping[str, Settled]
    held: Mapping[str, Decimal]
    adopted: frozenset[str] = frozenset()
    pinned: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One order of ours in both books; either may lack it. what: the difference in words, empty where there is none."""

    verdict: Verdict
    recorded: Recorded | None
    told: Told | None
    what: str = ""

    @property
    def name(self) -> str:
        """Its client id."""
        if self.recorded is not None:
            return self.recorded.child.request.client_id
        return self.told.order.client_id if self.told is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One market's position, contracts (signed): what it should be since it was settled, and what is held.

    own, foreign: what our orders and those of others changed since; spot: coins come and go without an order as well.
    """

    symbol: str
    spot: bool
    settled: Settled
    own: Decimal
    foreign: Decimal
    held: Decimal

    @property
    @exact
    def expected(self) -> Decimal:
        """What it should be."""
        return self.settled.contracts + self.own + self.foreign

    @property
    @exact
    def transferred(self) -> Decimal:
        """Coins that no order explains: they were paid in or out."""
        return self.held - self.expected if self.spot else ZERO

    @property
    @exact
    def difference(self) -> Decimal:
        """Contracts held that nothing explains."""
        return ZERO if self.spot else self.held - self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What one market is on record to be, and what it is at the venue, each as ``Market.identity`` tells it."""

    symbol: str
    pinned: Mapping[str, object]
    found: Mapping[str, object]

    @property
    def differs(self) -> bool:
        """Whether it is not the contract that was traded before."""
        return self.pinned != self.found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What the comparison found. pairs: our orders, foreign: those of others, both oldest first; held: signed, by symbol.

    contracts: of the fund's markets, those that are on record.
    """

    since: datetime
    at: datetime
    pairs: tuple[Pair, ...]
    foreign: tuple[VenueOrder, ...]
    holdings: tuple[Holding, ...]
    held: Mapping[str, Decimal]
    contracts: tuple[Contract, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        apart = any(one.difference for one in self.holdings) or any(one.differs for one in self.contracts)
        return not apart and not any(pair.verdict.differs for pair in self.pairs)

    @property
    def missing(self) -> tuple[Told, ...]:
        """Our orders that the journal does not know."""
        return tuple(pair.told for pair in self.pairs if pair.verdict is Verdict.MISSING_IN_JOURNAL and pair.told is not None)

    def document(self, *, fund: str, venue: str, environment: str, accepted: bool) -> Document:
        """As ``reconcile --json`` tells it."""
        return {
            "fund": fund,
            "venue": venue,
            "environment": environment,
            "since": utc_text(self.since),
            "at": utc_text(self.at),
            "agrees": self.agrees,
            "accepted": accepted,
            "orders": [_pair_document(pair) for pair in self.pairs],
            "foreign": [order_document(order) for order in self.foreign],
            "positions": [_holding_document(holding) for holding in self.holdings],
            "contracts": [_contract_document(contract) for contract in self.contracts],
        }


def compare(books: Books) -> Reconciliation:
    """Lay both books side by side."""
    theirs: dict[str, list[Told]] = {}
    for told in books.theirs:
        if told.order.is_ours:
            theirs.setdefault(told.order.client_id, []).append(told)
    ours = {recorded.child.request.client_id: recorded for recorded in books.ours}
    pairs = [_pair(books, recorded, theirs.get(name, [])) for name, recorded in ours.items()]
    pairs += [_unrecorded(books, told) for name, found in theirs.items() if name not in ours for told in found]
    foreign = [told.order for told in books.theirs if not told.order.is_ours and told.order.at >= books.since]
    return Reconciliation(
        since=books.since,
        at=books.at,
        pairs=tuple(sorted((pair for pair in pairs if _counts(books, pair)), key=_begun)),
        foreign=tuple(sorted(foreign, key=lambda order: order.at)),
        holdings=tuple(_holding(books, symbol, settled) for symbol, settled in sorted(books.settled.items())),
        held=books.held,
        contracts=tuple(
            Contract(symbol=symbol, pinned=pinned, found=books.markets[symbol].identity)
            for symbol, pinned in sorted(books.pinned.items())
            if symbol in books.markets
        ),
    )


def _counts(books: Books, pair: Pair) -> bool:
    """Whether the pair began late enough. What both books should have is left alone before: venues forget empty orders."""
    return _begun(pair) >= (books.lacking_since if pair.recorded is None else books.since)


def _begun(pair: Pair) -> datetime:
    if pair.recorded is not None:
        return pair.recorded.child.at
    return pair.told.order.at if pair.told is not None else datetime.min.replace(tzinfo=UTC)


def _unrecorded(books: Books, told: Told) -> Pair:
    known = told.order.client_id in books.adopted
    what = "" if known else "the journal does not know it"
    return Pair(verdict=Verdict.ADOPTED if known else Verdict.MISSING_IN_JOURNAL, recorded=None, told=told, what=what)


def _pair(books: Books, recorded: Recorded, found: Sequence[Told]) -> Pair:
    told = found[0] if found else None
    verdict, what = _judge(books, recorded, found)
    return Pair(verdict=verdict, recorded=recorded, told=told, what=what)


def _judge(books: Books, recorded: Recorded, found: Sequence[Told]) -> tuple[Verdict, str]:
    child = recorded.child
    if len(found) > 1:
        return Verdict.TWICE_AT_VENUE, f"the venue has {len(found)} orders of this id"
    if child.rests and len(found) == 1 and not found[0].order.filled:
        return Verdict.AGREES, ""  # one that was taken back is placed again at the next look
    if child.state.open:
        if books.at <= child.request.deadline + SKEW:
            return Verdict.IN_FLIGHT, ""
        return Verdict.OPEN, f"its outcome is not recorded, the venue has it {found[0].order.state if found else 'not at all'}"
    if not found:
        # what was refused, or never arrived, is nowhere at the venue
        absent = child.state in (ChildState.REJECTED, ChildState.NOT_PLACED)
        return (Verdict.AGREES, "") if absent else (Verdict.MISSING_AT_VENUE, f"recorded as {child.state}")
    return _details(recorded, found[0])


def _details(recorded: Recorded, told: Told) -> tuple[Verdict, str]:
    child, order = recorded.child, told.order
    if child.state is not order.state:
        return Verdict.STATE, f"recorded as {child.state}, the venue has it {order.state}"
    if child.filled != order.filled:
        return Verdict.FILLED, f"{plain(child.filled)} recorded, {plain(order.filled)} at the venue"
    booked, traded = _trades(recorded.fills), _trades(told.fills)
    if booked != traded:
        apart = sorted(name for name in {**booked, **traded} if booked.get(name) != traded.get(name))
        return Verdict.TRADES, f"its trades differ: {', '.join(apart)}"
    return Verdict.AGREES, ""


def _trades(fills: Sequence[Fill]) -> dict[str, tuple[object, ...]]:
    return {fill.trade_id: (fill.side, fill.amount, fill.price, fill.fee, fill.fee_asset) for fill in fills}


@exact
def _holding(books: Books, symbol: str, settled: Settled) -> Holding:
    market, held = books.markets.get(symbol), books.held.get(symbol, ZERO)
    recorded = {one.child.request.client_id: one for one in books.ours}
    own, late = ZERO, []
    for told in books.theirs:
        known = recorded.get(told.order.client_id)
        for fill in told.fills:
            change = _change(fill, symbol, market)
            if known is None:
                late.append((fill.at, change, told.order.is_ours))
            elif known.since_settled or fill.at > settled.at + SKEW:
                own += change
    counted = _since(settled, late, missing=held - settled.contracts - own)
    own += sum((change for _, change, is_ours in counted if is_ours), ZERO)
    foreign = sum((change for _, change, is_ours in counted if not is_ours), ZERO)
    spot = market is not None and market.kind is MarketKind.SPOT
    return Holding(symbol=symbol, spot=spot, settled=settled, own=own, foreign=foreign, held=held)


@exact
def _since(settled: Settled, changes: Sequence[_Traded], *, missing: Decimal) -> Sequence[_Traded]:
    """Those of ``changes`` that came after the position settled.

    The venue's clock stamped the one, ours the other. Where the moment lies among the trades near it can't be told, so that it
    is taken to lie where they explain what is ``missing``, if anywhere.
    """
    ordered = sorted(changes, key=lambda change: change[0])
    cuts = [index for index in range(len(ordered) + 1) if _may_part(settled, ordered, index)]
    usual = sum(at <= settled.at for at, _, _ in ordered)
    for index in sorted(cuts, key=lambda index: abs(index - usual)):
        if sum((change for _, change, _ in ordered[index:]), ZERO) == missing:
            return ordered[index:]
    return ordered[usual:]


def _may_part(settled: Settled, ordered: Sequence[_Traded], index: int) -> bool:
    """Whether the position may have settled after ``index`` of the trades and before the others."""
    before = index == 0 or ordered[index - 1][0] <= settled.at + SKEW
    return before and (index == len(ordered) or ordered[index][0] >= settled.at - SKEW)


def _change(fill: Fill, symbol: str, market: Market | None) -> Decimal:
    """Contracts of ``symbol`` by which a trade changed what is held: coins that a fee was taken in are gone as well."""
    change = fill.amount * fill.side.sign if fill.symbol == symbol else ZERO
    if market is not None and market.kind is MarketKind.SPOT and fill.fee_asset == market.base:
        change -= fill.fee
    return change


def _pair_document(pair: Pair) -> Document:
    document: Document = {"client_id": pair.name, "order_id": None, "market": None, "side": None}
    document |= {"verdict": pair.verdict.value, "what": pair.what or None, "journal": None, "venue": None}
    if pair.told is not None:
        order = pair.told.order
        document |= {"order_id": order.order_id, "market": order.symbol, "side": order.side.value}
        document["venue"] = {"state": order.state.value, "filled": plain(order.filled), "at": utc_text(order.at)}
    if pair.recorded is not None:
        child = pair.recorded.child
        document |= {"order_id": child.order_id or document["order_id"]}
        document |= {"market": child.request.symbol, "side": child.request.side.value}
        document["journal"] = {"state": child.state.value, "filled": plain(child.filled), "run": child.run}
    return document


def order_document(order: VenueOrder) -> Document:
    """An order as the venue has it."""
    return {
        "order_id": order.order_id,
        "client_id": order.client_id or None,
        "market": order.symbol,
        "side": order.side.value,
        "amount": plain(order.amount),
        "filled": plain(order.filled),
        "state": order.state.value,
        "forced": order.forced,
        "at": utc_text(order.at),
    }


def _contract_document(contract: Contract) -> Document:
    return {
        "market": contract.symbol,
        "pinned": dict(contract.pinned),
        "found": dict(contract.found),
        "differs": contract.differs,
    }


def _holding_document(holding: Holding) -> Document:
    return {
        "market": holding.symbol,
        "settled": plain(holding.settled.contracts),
        "settled_at": utc_text(holding.settled.at),
        "own": plain(holding.own),
        "foreign": plain(holding.foreign),
        "transferred": plain(holding.transferred),
        "expected": plain(holding.expected),
        "held": plain(holding.held),
        "difference": plain(holding.difference),
    }
