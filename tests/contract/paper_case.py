"""The paper exchange as a case: what a strategy was tried on must keep the same contract as what it goes live on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from keeper.domain.account import Account, Position
from keeper.domain.order import OrderRequest
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.paper.venue import PaperVenue
from tests.contract.case import Ability, Held, Rules, Traded, on_tick, order
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import START, paper_venue

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
PRICES = {BTC: Decimal(50_000), ETH: Decimal(2_500)}
SPECS = {
    BTC: MarketSpec(
        tick=Decimal("0.1"), lot=Decimal("0.001"), min_amount=Decimal("0.001"), min_cost=Decimal(100), taker_bps=Decimal(5)
    ),
    ETH: MarketSpec(tick=Decimal("0.01"), lot=Decimal("0.001"), min_amount=Decimal("0.002"), min_cost=Decimal(20)),
}
CASH = Decimal(100_000)
ALONE = "nobody else trades on a paper account, and nothing rests there"
UNSENT = "nothing is sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperCase:
    """Two linear markets, 100,000 USDT."""

    name: str = "paper"
    exchange: str = "paper"
    main: str = BTC
    second: str = ETH
    lacks: Mapping[Ability, str] = field(
        default_factory=lambda: {
            Ability.WIRE: UNSENT,
            Ability.TESTNET: UNSENT,
            Ability.RESTING: ALONE,
            Ability.CLOSING: "its markets never close",
            Ability.HEDGE_MODE: "its positions are net",
            Ability.FORCED_ORDERS: "it liquidates nobody",
            Ability.DEAD_MAN: ALONE,
            Ability.FREE_MARGIN: "it tells none",
            Ability.VOLUME: "its prices stand, so nothing is traded",
        }
    )
    targets: Mapping[str, Decimal] = field(default_factory=lambda: {BTC: Decimal(2), ETH: Decimal(1)})
    drop: Decimal = Decimal("0.96")

    @asynccontextmanager
    async def opened(self, *, held: Mapping[str, Decimal] | None = None, **_changes: Any) -> AsyncIterator["PaperWorld"]:
        """A paper account on prices that stand until they are moved."""
        feed = moving_feed({symbol: str(price) for symbol, price in PRICES.items()}, spread_bps="1", depth="10", **_by_base())
        positions = {}
        for symbol, notional in (held or {}).items():
            price, lot = PRICES[symbol], SPECS[symbol].lot
            contracts = notional / price // lot * lot
            entry = on_tick(price * Decimal("0.98"), SPECS[symbol].tick)
            positions[symbol] = Position(symbol=symbol, contracts=contracts, entry=entry, mark=price)
        start = Account(balances={"USDT": CASH}, positions=positions, at=START)
        async with paper_venue(feed, start) as venue:
            yield PaperWorld(venue=venue, feed=feed)


def _by_base() -> dict[str, MarketSpec]:
    return {symbol.partition("/")[0]: spec for symbol, spec in SPECS.items()}


@dataclass(slots=True, kw_only=True)
class PaperWorld:
    """The venue and its own ledger; what was specified is the truth about its markets."""

    venue: PaperVenue
    feed: MovingFeed

    @property
    def _account(self) -> Account:
        return self.venue._ledger.account

    def rules(self, symbol: str) -> Rules:
        market, spec = SPECS[symbol].market(symbol), SPECS[symbol]
        return Rules(
            kind=market.kind,
            contract_size=spec.contract_size,
            tick=spec.tick,
            lot=spec.lot,
            min_amount=spec.min_amount,
            min_cost=spec.min_cost,
        )

    def mark(self, symbol: str) -> Decimal:
        return self.feed._prices[symbol]

    def displayed(self, symbol: str, sign: int) -> list[tuple[Decimal, Decimal]]:
        return [(self.mark(symbol) * (1 + sign * self.feed._spread / 2), self.feed._depth)]

    def balances(self) -> Mapping[str, Decimal]:
        return self._account.balances

    def positions(self) -> Mapping[str, Held]:
        return {symbol: Held(held.contracts, held.entry, self.mark(symbol)) for symbol, held in self._account.positions.items()}

    def free_margin(self) -> Decimal | None:
        return None

    def trades(self) -> list[Traded]:
        return [
            Traded(
                trade_id=fill.trade_id,
                client_id=name,
                symbol=fill.symbol,
                sign=fill.side.sign,
                amount=fill.amount,
                price=fill.price,
                fee=fill.fee,
                fee_asset=fill.fee_asset,
            )
            for name, booked in self.venue._ledger.orders.items()
            for fill in booked.fills
        ]

    def known_as(self, client_id: str) -> str:
        return client_id

    def taken(self) -> list[str]:
        return list(self.venue._ledger.orders)

    def nav(self) -> Decimal:
        profits = (held.contracts * (held.mark - held.entry) for held in self.positions().values())
        return sum(profits, self.balances()["USDT"])

    def exposure(self, symbol: str) -> Decimal:
        held = self.positions().get(symbol)
        return Decimal(0) if held is None else held.contracts * held.mark

    def move(self, factor: Decimal) -> None:
        for symbol in PRICES:
            self.feed.move(symbol, on_tick(self.mark(symbol) * factor, SPECS[symbol].tick))

    def lower_than_allowed(self) -> OrderRequest:
        return order(self, BTC, amount=SPECS[BTC].lot)

    def beyond_its_means(self) -> OrderRequest:
        return order(self, BTC, amount=self.rules(BTC).contracts(CASH * 50, self.mark(BTC)))


CASE = PaperCase()
