"""Facts about a sound account, for tests that spoil one of them: 100,000 USDT, to be held at 3x BTC, whose mark is 50,000."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.inspection import Bracket, Contact, FeeRates, KeyFacts, MarginMode, Modes, Setting, Ways
from keeper.domain.observation import Observation
from keeper.execution.pacing import Pacing, Style
from keeper.planning.limits import Limits
from keeper.policy.mandate import Mandate
from keeper.ports import Environment, VenueInfo
from keeper.service.findings import Facts, MarketFacts
from keeper.service.fund import Fund
from tests.fakes.markets import BTC, NOON, linear, observe, quote

D = Decimal
MARKET = replace(linear(lot="0.001", taker="0.0005", tick="0.1"), maker=D("0.0002"), min_amount=D("0.001"), min_cost=D(100))
INFO = VenueInfo(name="venue", exchange="some", environment=Environment.LIVE, account="abc", read_lag=0.5, order_ttl=5.0)
LIMITS = Limits(max_order_notional=D(250_000), max_turnover_per_day=D(6), max_slippage_bps=D(30), max_leverage=D(5))
TABLE = (
    Bracket(up_to=D(400_000), max_leverage=D(50), maintenance=D("0.01")),
    Bracket(up_to=D(1_000_000), max_leverage=D(20), maintenance=D("0.02")),
    Bracket(up_to=D(2_000_000), max_leverage=D(2), maintenance=D("0.1")),
)
CLOSE = Contact(latency=timedelta(milliseconds=40), offset=timedelta(milliseconds=3))
ALL_BY_US = Ways(by_us=frozenset(Setting), by_hand={setting: f"on some.com, where {setting} stands" for setting in Setting})
GOOD_KEY = KeyFacts(may_trade=True, may_withdraw=False, ip_bound=True, expires_at=NOON + timedelta(days=60))


def fund(target: str = "3", *, slices: int = 12, style: Style = Style.TWAP) -> Fund:
    pacing = Pacing(style=style, horizon=timedelta(minutes=30), slices=slices, max_depth=D("0.2"))
    return Fund(name="btc3l", mandate=Mandate(targets={BTC: D(target)}), limits=LIMITS, pacing=pacing)


def market_facts(**changes: Any) -> MarketFacts:
    sound: dict[str, Any] = {
        "symbol": BTC,
        "market": MARKET,
        "modes": Modes(hedged=False, margin=MarginMode.CROSS, leverage=D(10)),
        "fees": FeeRates(taker=D("0.0005"), maker=D("0.0002")),
        "brackets": TABLE,
    }
    return MarketFacts(**(sound | changes))


def set_to(leverage: str, *, margin: MarginMode = MarginMode.CROSS) -> Modes:
    return Modes(hedged=False, margin=margin, leverage=D(leverage))


def observed(cash: str = "100000", **position: str) -> Observation:
    """An account with ``cash`` USDT. position: contracts, entry, mark and liquidation of one."""
    held = {BTC: Position(symbol=BTC, **{name: D(value) for name, value in position.items()})} if position else {}
    seen = observe({"USDT": cash}, {MARKET: quote("50000")}, held)
    return replace(seen, account=replace(seen.account, equities={"USDT": D(cash)}))


def facts(**changes: Any) -> Facts:
    seen = changes.pop("observation", observed())
    known = isinstance(seen, Observation)
    sound: dict[str, Any] = {
        "fund": fund(),
        "info": INFO,
        "now": NOON,
        "inspected": True,
        "contact": CLOSE,
        "reached": {"api.some.com": "https://api.some.com"},
        "ways": ALL_BY_US,
        "key": GOOD_KEY,
        "markets": (market_facts(),),
        "observation": seen,
        "own": {"USDT": seen.account.balances["USDT"]} if known else seen,
        "worth": seen.valuation() if known else seen,
    }
    return Facts(**(sound | changes))
