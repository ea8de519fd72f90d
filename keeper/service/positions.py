"""What a fund's positions should be, and what it means when they are not: settled holdings, our fills, orders of others.

Nothing here trades. What was held on an account that stood still is in the journal; from there on a position may move by our
own confirmed fills alone, and whatever else moved it is looked for at the venue and named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from keeper.domain.errors import StaleData, VenueError
from keeper.domain.fund import Settled
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ZERO, exact, plain, sign
from keeper.domain.observation import Observation, holdings
from keeper.domain.order import Child, ChildState, Fill, OrderReport, VenueOrder
from keeper.domain.run import NavCause
from keeper.execution.recovery import CLOCK_SKEW, assumed, caught_up
from keeper.policy.breakers import Change, ChangeKind, PositionChange, explain_change
from keeper.ports import Clock, Journal, Venue
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.reconciliation import LONGEST_LOOK, adopted, reach
from keeper.service.residents import Residents
from keeper.service.sender import total
from keeper.service.settle import settle

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (2, 5, 10))
"""How long what nothing explains is given to turn out as a late read."""
JUST_READ = timedelta(seconds=2)
LATE = timedelta(minutes=10)
"""How long after its cancel a fill of an order is still looked for."""
DAYS_LOOKED_BACK = 400
"""NAV points among which the last run's is looked for: each day has one that no run took."""
DEEPEST_LOOK = timedelta(days=90)
"""How far back one looks for what explains a position that nothing else does: further back no venue tells."""
log = structlog.get_logger()


class PositionBook:
    """The positions of one fund; where it is urgent, nobody waits for what the venue does not tell."""

    def __init__(self, fund: Fund, venue: Venue, journal: Journal, observer: Observer) -> None:
        self._fund = fund.name
        self._mandated = fund
        self._urgent = fund.urgent
        self._venue = venue
        self._journal = journal
        self._clock: Clock = venue.clock
        self._observer = observer
        self._residents = Residents(fund.name, venue, journal, observer)
        self._is_behind = False

    async def settled(self) -> Observation:
        """The account once it stands still. StaleData when it does not."""
        return await settle(self._observer, self._clock, timedelta(seconds=self._venue.info.read_lag))

    async def changes(self, observation: Observation, only: str | None = None) -> tuple[PositionChange, ...]:
        """What moved the fund's positions, or ``only`` that in one market, since they were last recorded, but for our own fills.

        ``observation`` is of an account that stands still and has no order of ours open. VenueUnavailable when the venue does
        not tell its orders; where it is urgent, what moved is unexplained then.
        """
        before, fills = await self._settled(), await self._fills()
        held, markets, moved = holdings(observation), observation.markets, []
        for symbol, market in markets.items():
            if symbol not in before or only not in (None, symbol):
                continue
            own = net_change(fills, market, markets)
            if held[symbol] == added(before[symbol].contracts, own):
                continue
            try:
                change = await self._looked_for(market, markets, before[symbol], held[symbol])
            except (VenueError, StaleData) as error:
                if not self._urgent:
                    raise
                log.warning("orders.unread", fund=self._fund, market=symbol, error=str(error))
                change = explain_change(
                    market.kind,
                    before=before[symbol].contracts,
                    after=held[symbol],
                    own_fills=own,
                    foreign_orders=(),
                    smallest_fill=ZERO,
                )
            fills = await self._fills()  # some may be booked by now
            if change is not None:
                moved.append(PositionChange(symbol=symbol, change=change))
        return tuple(replace(one, hedged=self._is_hedged(one, held, markets)) for one in moved)

    def _is_hedged(self, moved: PositionChange, held: Mapping[str, Decimal], markets: Mapping[str, Market]) -> bool:
        """Whether another position is on the other side, and not by accident: no mandate for the same side holds both."""
        targets = self._mandated.mandate.targets
        meant = sign(targets.get(moved.symbol, ZERO))
        return any(
            sign(contracts) == -sign(moved.change.before) and meant * sign(targets.get(other, ZERO)) <= 0
            for other, contracts in held.items()
            if other != moved.symbol and markets[other].kind is not MarketKind.SPOT
        )

    async def _looked_for(self, market: Market, markets: Mapping[str, Market], before: Settled, held: Decimal) -> Change | None:
        """What moved the position in ``market``; None where it was a fill of ours that is booked now."""
        await self._residents.book(market.symbol)
        for order in await self._venue.orders(market.symbol, self._recent(before.at - LATE)):
            await self._book_late(order)
        own = net_change(fills := await self._fills(), market, markets)
        if held == added(before.contracts, own):
            return None
        return await self._explained(market, before, held, own, fills)

    async def expected(self, markets: Mapping[str, Market]) -> dict[str, Decimal]:
        """What our own fills lead to from what was last recorded, signed contracts; of the markets for which that is known."""
        return _led_to(await self._settled(), await self._fills(), markets)

    async def as_assumed(self, observation: Observation) -> Observation:
        """``observation`` as if every unknown order of ours that only reduces had filled, and none that adds."""
        unknown = await self._journal.open_children(self._fund)
        return assumed(observation, unknown, await self.expected(observation.markets)) if unknown else observation

    async def caught_up(self, observation: Observation) -> Observation:
        """``observation`` with what our own fills took off, where the account does not show it yet: it stands still only then."""
        return (await self.reckoned(observation))[0]

    async def reckoned(self, observation: Observation) -> tuple[Observation, Mapping[str, Decimal]]:
        """``caught_up`` and what is ``expected``, by the same fills."""
        fills = await self._fills()
        expected = _led_to(await self._settled(), fills, observation.markets)
        then = caught_up(observation, fills, expected) if fills else observation
        self._is_behind = then.account != observation.account
        return then, expected

    async def stand_still(self, observation: Observation) -> bool:
        """Whether no second read is needed to know that the account of ``observation`` stands still.

        It was just made, and shows of every market what was last recorded with our fills since: none of those is still to be
        seen. What others trade at that very time it may show too late, as any read may; the next one tells. What is urgent may
        look so because of what is not known, and is read again.
        """
        if self._urgent or not timedelta(0) <= self._clock.now() - observation.account.at <= JUST_READ:
            return False
        if await self._journal.open_children(self._fund):
            return False
        return holdings(observation) == await self.expected(observation.markets)

    async def patient_changes(
        self, observation: Observation, only: str | None = None
    ) -> tuple[Observation, tuple[PositionChange, ...]]:
        """``changes``, looked at again after some pauses where something is not explained: a read may be late.

        What is urgent does not wait for that.
        """
        for pause in () if self._urgent else PAUSES:
            found = await self.changes(observation, only)
            if all(one.change.kind is not ChangeKind.UNEXPLAINED for one in found):
                return observation, found
            await self._clock.sleep_until(self._clock.now() + pause)
            observation = await self.settled()
        return observation, await self.changes(observation, only)

    async def record(self, run: str, observation: Observation, changes: Sequence[PositionChange]) -> None:
        """From here on positions are counted from what ``observation`` shows, unless a human has to look at it first.

        changes: since what was recorded last. What came about nobody knows how stays to be seen once a fund that was flattened
        may trade again; and a read that stood still would be taken for the truth, and the truth for a change.
        """
        if self._is_behind or any(one.alarms for one in changes):
            return
        if self._urgent and (await self._settled()).keys() - observation.markets.keys():
            return  # of a market that could not be read nothing would be known from here on
        account = self._venue.info.account
        await self._journal.record_settled(self._fund, run, holdings(observation), at=observation.at, account=account)

    async def since_settled(self, observation: Observation) -> NavCause:
        """How what is held now compares with what was recorded last: what a NAV point taken at the start of a run is of."""
        before, held = await self._settled(), holdings(observation)
        points = await self._journal.nav_points(self._fund, limit=DAYS_LOOKED_BACK)
        worth = [point for point in points if point.run][:1]  # what closed a day was taken between runs, of what stood still
        if not before:
            return NavCause.ANEW if worth else NavCause.BEFORE
        same = held == {symbol: one.contracts for symbol, one in before.items()}
        # a human may have accepted positions, or a run have left assets out: then the last NAV point is of other positions
        same = same and {one.at for one in before.values()} == {point.at for point in worth}
        return NavCause.BEFORE if same else NavCause.MOVED

    async def agrees(self, child: Child) -> bool:
        """Whether the position in the market of ``child`` is what our fills and the orders of others lead to without it.

        Its market need not be one of the mandate any more. VenueError when the venue does not tell, or has dropped it.
        """
        symbol = child.request.symbol
        if symbol not in await self._settled():
            return False  # there is nothing to compare with
        if symbol not in self._observer.markets:
            elsewhere = await Observer.on(self._venue, [symbol], None, self._clock)
            return await PositionBook(self._mandated, self._venue, self._journal, elsewhere).agrees(child)
        _, found = await self.patient_changes(await self.settled(), symbol)
        return all(
            one.change.kind in (ChangeKind.FOREIGN, ChangeKind.FORCED)
            # coins that came or went as the child would have made them are no transfer that anybody made
            or (one.change.kind is ChangeKind.TRANSFER and not _may_be(child, one.change.transfer))
            for one in found
        )

    async def unrecorded(self) -> tuple[VenueOrder, ...]:
        """Orders with our prefix that the venue has and the journal lacks, as far back as ``reach`` says.

        There are some where the journal was deleted, put back from an old backup, or is not the only one for this account.
        VenueUnavailable when the venue does not tell its orders.
        """
        since = await reach(self._journal, self._venue.info.account, self._clock.now())
        found = [order for symbol in self._observer.markets for order in await self._venue.orders(symbol, since)]
        ours = {order.client_id: order for order in found if order.is_ours}
        booked = await self._journal.known(sorted(ours))
        for name, order in ours.items():
            if name in booked and order.filled > booked[name]:
                await self._book_late(order)
        known = booked.keys() | await adopted(self._journal)
        return tuple(order for name, order in ours.items() if name not in known)

    def _recent(self, since: datetime) -> datetime:
        return max(since, self._clock.now() - LONGEST_LOOK)

    async def _settled(self) -> Mapping[str, Settled]:
        return await self._journal.settled(self._fund, self._venue.info.account)

    async def _fills(self) -> tuple[Fill, ...]:
        return await self._journal.fills_since_settled(self._fund)

    async def _book_late(self, order: VenueOrder) -> None:
        """Book what filled of an order of ours after it was told to be canceled."""
        child = await self._journal.child(order.client_id) if order.is_ours and order.filled else None
        if child is None or child.state is not ChildState.CANCELED or not order.filled > child.filled:
            return
        fills = await self._venue.fills(order.symbol, order.order_id)
        if total(fills) != order.filled:
            return
        whole = order.filled == child.request.amount
        report = OrderReport(
            order_id=order.order_id,
            client_id=order.client_id,
            state=ChildState.FILLED if whole else ChildState.CANCELED,
            filled=order.filled,
            average=order.average,
        )
        await self._journal.advance_child(
            order.client_id,
            expected=child.state,
            state=report.state,
            at=self._clock.now(),
            report=report,
            reason="filled after it was canceled",
            fills=fills,
        )
        log.warning("child.filled_late", fund=self._fund, client_id=order.client_id, filled=plain(order.filled))

    async def _explained(self, market: Market, before: Settled, held: Decimal, own: Decimal, fills: Sequence[Fill]) -> Change:
        smallest = min((fill.amount for fill in fills if fill.symbol == market.symbol), default=ZERO)

        def way(orders: Sequence[VenueOrder]) -> Change:
            return explain_change(
                market.kind,
                before=before.contracts,
                after=held,
                own_fills=own,
                foreign_orders=orders,
                smallest_fill=smallest,
            )

        def best(foreign: Sequence[VenueOrder]) -> Change:
            # two clocks date them: what was traded about when the account was settled is in what was recorded then, or it is not
            close = [order for order in foreign if order.at <= before.at + CLOCK_SKEW]
            later = foreign[len(close) :]
            ways = [way([*close[left_out:], *later]) for left_out in range(len(close) + 1)]
            return next((one for one in ways if one.kind is not ChangeKind.UNEXPLAINED), ways[0])

        since = before.at - CLOCK_SKEW
        change = best(await self._foreign(market.symbol, self._recent(since), since))
        if change.kind is ChangeKind.UNEXPLAINED:
            deep = max(since - LONGEST_LOOK, self._clock.now() - DEEPEST_LOOK)
            change = best(await self._foreign(market.symbol, deep, since))
        log.warning("position.changed", fund=self._fund, market=market.symbol, kind=str(change.kind), change=str(change))
        return change

    async def _foreign(self, symbol: str, first: datetime, since: datetime) -> list[VenueOrder]:
        """What others traded from ``since`` on, each as an order placed when it traded.

        first: from when on they may have been placed.
        An order that rested as the account was settled counts with what it traded afterwards alone.
        """
        orders = await self._venue.orders(symbol, first)
        known = await self._journal.known([order.client_id for order in orders if order.is_ours])
        found: list[VenueOrder] = []
        for order in orders:
            if order.client_id in known or not order.filled or order.changed_at < since:
                continue
            if order.at >= since:
                found.append(order)
                continue
            fills = await self._venue.fills(symbol, order.order_id)
            found += [replace(order, filled=fill.amount, at=fill.at) for fill in fills if fill.at >= since]
        return sorted(found, key=lambda order: order.at)


@exact
def _may_be(child: Child, transfer: Decimal) -> bool:
    """Whether ``transfer`` (signed contracts) may be what ``child`` traded, in whole or in part."""
    return sign(transfer) == child.request.side.sign and abs(transfer) <= child.request.amount


@exact
def net_change(fills: Sequence[Fill], market: Market, markets: Mapping[str, Market]) -> Decimal:
    """Signed contracts by which ``fills`` of ``markets`` change what is held of ``market``, fees taken in its coins included."""
    spot = market.kind is MarketKind.SPOT
    total = ZERO
    for fill in fills:
        if fill.symbol == market.symbol:
            total += fill.amount * fill.side.sign
        if spot and fill.symbol in markets and fill.fee_asset == market.base:
            total -= fill.fee
    return total


@exact
def _led_to(before: Mapping[str, Settled], fills: Sequence[Fill], markets: Mapping[str, Market]) -> dict[str, Decimal]:
    """What ``fills`` make of what was recorded ``before``, signed contracts; of the markets for which that is known."""
    return {
        symbol: added(before[symbol].contracts, net_change(fills, market, markets))
        for symbol, market in markets.items()
        if symbol in before
    }


@exact
def added(one: Decimal, other: Decimal) -> Decimal:
    """``one`` and ``other`` together."""
    return one + other
