"""A case behind a real ccxt class: a loopback server in the exchange's manner, and its core for the truth.

How to write one: a module ``tests/contract/EXCHANGE_case.py`` with

    CASE = WireCase(
        name="exchange", serve=lambda core: Exchange(core=core), core=usual_core,
        main="BTC/USDT:USDT", second="ETH/USDT:USDT", markets={"BTC/USDT:USDT": "BTC_USDT", "ETH/USDT:USDT": "ETH_USDT"},
        live=frozenset({"api.exchange.com"}), testnet=frozenset({"testnet.exchange.com"}),
        new_order=("POST", "/orders"), lacks={Ability.DEAD_MAN: "the exchange has no such switch"},
    )

and a line in ``cases.py``. ``core`` opens with means for an order of twice the first level of the main market's book; where the
wire has another client id than Keeper, ``on_wire`` says so; where one host serves both environments, ``is_testnet`` tells a
request to the testnet; where there is no testnet, ``testnet`` is empty; ``arguments`` are what the venue needs beside the usual
keys. ``python -m tests.contract exchange`` runs it alone.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from keeper.domain.market import MarketKind
from keeper.domain.order import OrderRequest
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue
from keeper.venues.parsing import milliseconds
from tests.contract.case import Ability, Held, Rules, Traded, on_tick, order
from tests.fakes.exchange_core import ExchangeCore, Instrument
from tests.fakes.loopback_requests import Fault, Seen
from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.loopback_venue import CREDENTIALS, JumpingClock, row_of, venue_at
from tests.fakes.spot_core import SpotCore

NEXT_TO_NOTHING = Decimal("0.000001")


def _same(client_id: str) -> str:
    return client_id


def _nothing_more(_server: LoopbackServer) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCase:
    """One exchange.

    serve: its server on a core; core: its opening; markets: the core's symbols by ccxt's; new_order: method and last part of
    the path of a new order, new_order_says: what stands in it and in nothing else there; on_wire: a client id of Keeper's as
    the core has it; foreign: one that is none of Keeper's, empty where others' orders have none; order_id, trade_id: how the
    wire words the core's; arguments: of the venue, beside the usual keys; wrong: keys, by their names, with which nobody gets
    in, where the usual ones turned round have a wrong shape; is_testnet: of a request, where the host does not tell; None for
    one that is the same in both.
    """

    name: str
    serve: Callable[[ExchangeCore], LoopbackServer]
    core: Callable[[], ExchangeCore]
    main: str
    second: str
    markets: Mapping[str, str]
    live: frozenset[str]
    testnet: frozenset[str]
    new_order: tuple[str, str]
    new_order_says: str = ""
    lacks: Mapping[Ability, str] = field(default_factory=dict)
    targets: Mapping[str, Decimal] = field(default_factory=dict)
    drop: Decimal = Decimal("0.96")
    on_wire: Callable[[str], str] = _same
    foreign: str = "web1"
    order_id: Callable[[int], str] = str
    trade_id: Callable[[int], str] = str
    arguments: Callable[[LoopbackServer], Mapping[str, Any]] = _nothing_more
    wrong: Mapping[str, str] = field(default_factory=dict)
    is_testnet: Callable[[Seen], bool | None] | None = None

    @property
    def wrong_keys(self) -> dict[str, str]:
        """Each of the keys of the right shape, so that only the exchange can tell."""
        return {part: self.wrong.get(part, CREDENTIALS[part][::-1]) for part in row_of(self.exchange).credentials}

    @property
    def exchange(self) -> str:
        return self.serve(self.core()).skin.exchange

    @property
    def usual(self) -> Environment:
        """Where its tests trade: on the testnet, if there is one."""
        return Environment.TESTNET if self.testnet else Environment.LIVE

    def hosts(self, environment: Environment) -> frozenset[str]:
        """The only hosts that may be asked."""
        return self.live if environment is Environment.LIVE else self.testnet

    def reaches(self, seen: Seen, environment: Environment) -> bool:
        """Whether a request went where ``environment`` allows."""
        told = None if self.is_testnet is None else self.is_testnet(seen)
        marked = told is None or told is (environment is Environment.TESTNET)
        return seen.host in self.hosts(environment) and marked

    @asynccontextmanager
    async def opened(self, *, held: Mapping[str, Decimal] | None = None, **changes: Any) -> AsyncIterator["WireWorld"]:
        """A server of its own and a venue on it, by one clock that need not wait."""
        async with self.served(held) as world, world.connected(**changes):
            world.server.requests.clear()
            yield world

    @asynccontextmanager
    async def served(self, held: Mapping[str, Decimal] | None = None) -> AsyncIterator["WireWorld"]:
        """A server without a venue that is connected."""
        clock, core = JumpingClock(), self.core()
        core.now = lambda: milliseconds(clock.now())
        async with self.serve(core) as server:
            world = WireWorld(case=self, server=server, clock=clock)
            for symbol, notional in (held or {}).items():
                world.hold(symbol, notional)
            yield world


@dataclass(slots=True, kw_only=True)
class WireWorld:
    """A loopback exchange and the venue on it."""

    case: WireCase
    server: LoopbackServer
    clock: JumpingClock
    reached: CcxtVenue | None = None

    @property
    def venue(self) -> CcxtVenue:
        assert self.reached is not None
        return self.reached

    @property
    def core(self) -> ExchangeCore:
        return self.server.core

    @asynccontextmanager
    async def connected(self, environment: Environment | None = None, **changes: Any) -> AsyncIterator[CcxtVenue]:
        """A venue on the server, in the case's usual environment unless told; the world's own from here on."""
        told = {"clock": self.clock, **self.case.arguments(self.server)}
        async with venue_at(self.server, environment or self.case.usual, **(told | changes)) as venue:
            if not self.case.testnet:
                # a live fund only plans; what the venue can do is proven by one that says to the service that it is a testnet
                venue._info = replace(venue.info, environment=Environment.TESTNET)
            self.reached = venue
            yield venue

    def instrument(self, symbol: str) -> Instrument:
        return self.core.instruments[self.case.markets[symbol]]

    def hold(self, symbol: str, notional: Decimal) -> None:
        """Start with a position, entered 2 % lower; on spot, with so many coins more."""
        rules, mark = self.rules(symbol), self.mark(symbol)
        contracts = rules.contracts(abs(notional), mark) * (1 if notional > 0 else -1)
        if rules.kind is MarketKind.SPOT:
            base = self.instrument(symbol).base
            self.core.wallet[base] = self.core.wallet.get(base, Decimal(0)) + contracts
        else:
            self.core.hold(self.case.markets[symbol], contracts, on_tick(mark * Decimal("0.98"), rules.tick))

    def rules(self, symbol: str) -> Rules:
        one = self.instrument(symbol)
        kind = MarketKind.INVERSE if one.inverse else MarketKind.LINEAR
        return Rules(
            kind=MarketKind.SPOT if isinstance(self.core, SpotCore) else kind,
            contract_size=one.contract_size,
            tick=one.tick,
            lot=one.step,
            min_amount=one.min_amount,
            min_cost=one.min_notional,
        )

    def mark(self, symbol: str) -> Decimal:
        return self.core.mark(self.case.markets[symbol])

    def displayed(self, symbol: str, sign: int) -> list[tuple[Decimal, Decimal]]:
        name = self.case.markets[symbol]
        shown = self.core.ladders[name].displayed(sign, self.core.instruments[name], self.core.now())
        return [(price, amount) for _, price, amount in shown]

    def balances(self) -> Mapping[str, Decimal]:
        return {asset: amount for asset, amount in self.core.wallet.items() if amount}

    def positions(self) -> Mapping[str, Held]:
        core = self.core
        return {
            symbol: Held(core.holdings[name].amount, core.holdings[name].entry, core.mark(name))
            for symbol, name in self.case.markets.items()
            if core.held(name)
        }

    def free_margin(self) -> Decimal | None:
        return self.core.available(self.instrument(self.case.main).settle)

    def trades(self) -> list[Traded]:
        core, symbols = self.core, {name: symbol for symbol, name in self.case.markets.items()}
        return [
            Traded(
                trade_id=self.case.trade_id(one.id),
                client_id=core.orders[one.order_id].client_id,
                symbol=symbols[one.symbol],
                sign=one.sign,
                amount=one.amount,
                price=one.price,
                fee=one.fee,
                fee_asset=one.fee_asset,
            )
            for one in core.trades
        ]

    def known_as(self, client_id: str) -> str:
        return self.case.on_wire(client_id)

    def taken(self) -> list[str]:
        return [one.client_id for one in self.core.orders.values()]

    def nav(self) -> Decimal:
        return self.core.equity_usd({asset: self._price(asset) for asset in {*self.core.wallet, self._quote, *self._settles}})

    def exposure(self, symbol: str) -> Decimal:
        one, rules = self.instrument(symbol), self.rules(symbol)
        coins = Decimal(0) if one.base == self._quote else self.core.equity(one.base)
        return rules.worth(self.core.held(one.symbol), self.mark(symbol)) + coins * self.mark(symbol)

    def move(self, factor: Decimal) -> None:
        for name, ladder in self.core.ladders.items():
            self.core.set_mid(name, on_tick(ladder.mid * factor, self.core.instruments[name].tick))

    def lower_than_allowed(self) -> OrderRequest:
        asked = order(self, self.case.main)
        self.instrument(self.case.main).min_amount = asked.amount * 2
        return asked

    def beyond_its_means(self) -> OrderRequest:
        asked = order(self, self.case.main)
        self.core.wallet.update(dict.fromkeys(self.core.wallet, NEXT_TO_NOTHING))
        return asked

    def fault(self, kind: str, times: int = 1_000_000) -> None:
        """What goes wrong with new orders."""
        method, path = self.case.new_order
        self.server.faults.append(Fault(path, kind, method=method, times=times, says=self.case.new_order_says))

    @property
    def _quote(self) -> str:
        return self.instrument(self.case.main).quote

    @property
    def _settles(self) -> set[str]:
        return {self.core.instruments[name].settle for name in self.case.markets.values()}

    def _price(self, asset: str) -> Decimal:
        """Quote of the main market per unit of ``asset``; nothing for a coin that no market of the case prices."""
        if asset == self._quote:
            return Decimal(1)
        priced = [symbol for symbol in self.case.markets if self.instrument(symbol).base == asset]
        return self.mark(priced[0]) if priced else Decimal(0)
