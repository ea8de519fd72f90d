"""A scripted venue that remembers the orders that rested on it: whatever ended can still be looked up, and its trades told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.numbers import ZERO
from keeper.domain.order import ChildState, Fill, OrderReport, VenueOrder
from tests.fakes.desks import drifted
from tests.fakes.scripted_venue import ScriptedVenue

OURS = "kpr0000000000000000000000000000r"


class RestingVenue(ScriptedVenue):
    """ended: orders that rested, as they ended, by client id; racing: contracts that an order fills while it is canceled;
    on_cancel: called before a cancel is dealt with.
    """

    @classmethod
    def make(cls, *, lag: float = 0.0) -> "RestingVenue":
        """On the account of ``drifted``."""
        return cls(drifted().inner, lag=lag)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # as they were given
        self.ended: dict[str, VenueOrder] = {}
        self.racing: dict[str, Decimal] = {}
        self.on_cancel: Callable[[str], object] = lambda _client_id: None

    async def cancel(self, symbol: str, client_id: str) -> None:
        self.on_cancel(client_id)
        before = self.resting.get(client_id)
        await super().cancel(symbol, client_id)
        if before is None or client_id in self.resting:
            return
        filled = before.filled + self.racing.get(client_id, ZERO)
        state = ChildState.FILLED if filled == before.amount else ChildState.CANCELED
        self.ended[client_id] = replace(before, state=state, filled=filled, average=Decimal(105) if filled else None)

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        found = self.resting.get(client_id) or self.ended.get(client_id)
        if found is None:
            return await super().lookup(symbol, client_id)
        await self._read("lookup", self.account)
        return OrderReport(
            order_id=found.order_id, client_id=client_id, state=found.state, filled=found.filled, average=found.average
        )

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        ended = tuple(order for order in self.ended.values() if order.symbol == symbol and order.at >= since)
        return (*await super().orders(symbol, since), *ended)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        for order in (*self.foreign, *self.ended.values()):
            if order.order_id == order_id and order.filled:
                return (trade_of(order),)
        return await super().fills(symbol, order_id)


def trade_of(order: VenueOrder) -> Fill:
    """The one trade that filled ``order``."""
    return Fill(
        trade_id=f"t-{order.order_id}",
        symbol=order.symbol,
        side=order.side,
        amount=order.filled,
        price=order.average or Decimal(105),
        fee=ZERO,
        fee_asset="USDT",
        at=order.at,
    )
