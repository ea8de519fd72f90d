"""The fund of a simulated world: what it wants, what it may do, and how it goes about it; drawn from the seed."""

from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from keeper.domain.market import Market, MarketKind
from keeper.execution.pacing import Pacing, Style
from keeper.planning.gate import Limits
from keeper.policy.mandate import Mandate
from keeper.policy.schedule import Schedule
from keeper.ports import Environment

FUND = "sim3l"
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
MANDATES = ({BTC: "3"}, {BTC: "-2"}, {BTC: "1.5", ETH: "-1.5"}, {BTC: "2", ETH: "1"})
ZERO, THREE = Decimal(0), Decimal(3)
UTC = ZoneInfo("UTC")


def market(symbol: str, tick: str, lot: str) -> Market:
    return Market(
        symbol=symbol,
        kind=MarketKind.LINEAR,
        base=symbol.partition("/")[0],
        quote="USDT",
        settle="USDT",
        contract_size=Decimal(1),
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_amount=Decimal(lot),
        min_cost=Decimal(5),
        taker=Decimal("0.0004"),
        maker=Decimal("0.0002"),
    )


MARKETS = {BTC: market(BTC, "0.1", "0.001"), ETH: market(ETH, "0.01", "0.001")}
PRICES = {BTC: Decimal(60_000), ETH: Decimal(3_000)}


@dataclass(slots=True, kw_only=True)
class Rules:
    """What holds for a fund."""

    fund: str
    mandate: Mandate
    limits: Limits
    pacing: Pacing
    schedule: Schedule
    environment: Environment = Environment.TESTNET
    order_ttl: timedelta = timedelta(seconds=5)


def drawn(rng: Random) -> Rules:
    targets = {symbol: Decimal(multiple) for symbol, multiple in rng.choice(MANDATES).items()}
    return Rules(
        fund=FUND,
        mandate=Mandate(targets=targets),
        limits=Limits(
            max_order_notional=Decimal(rng.choice((8_000, 60_000, 400_000))),
            max_turnover_per_day=Decimal(rng.choice((1, 9, 9))),
            max_slippage_bps=Decimal(30),
            max_leverage=Decimal(6),
        ),
        pacing=Pacing(
            style=rng.choice((Style.TWAP, Style.TWAP, Style.URGENT)),
            horizon=timedelta(minutes=rng.choice((3, 8))),
            slices=rng.choice((2, 3)),
            max_depth=Decimal(1),
        ),
        schedule=Schedule(
            at=time(0, 15),
            zone=ZoneInfo(rng.choice(("UTC", "Europe/Berlin"))),
            jitter=timedelta(minutes=rng.choice((0, 5))),
            catch_up=timedelta(hours=1),
        ),
    )
