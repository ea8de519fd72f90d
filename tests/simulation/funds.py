"""The fund of a simulated world: what it wants, what it may do, and how it goes about it; drawn from the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from keeper.domain.market import FeeAsset, Market, MarketKind
from keeper.execution.pacing import Pacing, Style
from keeper.planning.gate import Limits
from keeper.policy.emergency import Emergency, emergency_of
from keeper.policy.mandate import Mandate
from keeper.policy.schedule import Schedule
from keeper.ports import Environment
from keeper.venues.dialects import BINANCE_SPOT, BINANCE_USDM, Dialect

FUND = "sim3l"
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
COINS_BTC, COINS_ETH = "BTC/USDT", "ETH/USDT"
SPOT_SHARE = 0.2
"""Of the seeds whose fund holds coins."""
MANDATES = ({BTC: "3"}, {BTC: "-2"}, {BTC: "1.5", ETH: "-1.5"}, {BTC: "2", ETH: "1"})
WEIGHTS = ({COINS_BTC: "0.5"}, {COINS_BTC: "0.6", COINS_ETH: "0.4"}, {COINS_BTC: "0.5", COINS_ETH: "0.3"})
THREE = Decimal(3)
UTC = ZoneInfo("UTC")


def market(symbol: str, tick: str, lot: str, fee_in: FeeAsset = FeeAsset.SETTLE) -> Market:
    return Market(
        symbol=symbol,
        kind=MarketKind.LINEAR if ":" in symbol else MarketKind.SPOT,
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
        fee_in=fee_in,
    )


def spot(fee_in: FeeAsset) -> dict[str, Market]:
    """Markets of coins whose fees are taken in ``fee_in``."""
    return {COINS_BTC: market(COINS_BTC, "0.01", "0.00001", fee_in), COINS_ETH: market(COINS_ETH, "0.01", "0.0001", fee_in)}


MARKETS = {BTC: market(BTC, "0.1", "0.001"), ETH: market(ETH, "0.01", "0.001")}
PRICES = {"BTC": Decimal(60_000), "ETH": Decimal(3_000)}


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
    check_every: timedelta = timedelta(hours=12)
    markets: Mapping[str, Market] = field(default_factory=lambda: MARKETS)

    @property
    def emergency(self) -> Emergency:
        """When it is de-levered between slots."""
        return emergency_of(self.mandate, check_every=self.check_every)

    @property
    def dialect(self) -> Dialect:
        """Of the venue that has its markets."""
        return BINANCE_SPOT if any(market.kind is MarketKind.SPOT for market in self.markets.values()) else BINANCE_USDM


def drawn(rng: Random, *, coins: float = 0.0) -> Rules:
    """The fund of one seed. coins: how likely it is one that holds coins."""
    rules = Rules(
        fund=FUND,
        mandate=_mandate(rng.choice(MANDATES)),
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
            at=(time(0, 15),),
            zone=ZoneInfo(rng.choice(("UTC", "Europe/Berlin"))),
            jitter=timedelta(minutes=rng.choice((0, 5))),
            catch_up=timedelta(hours=1),
        ),
    )
    if rng.random() >= coins:
        return rules
    return replace(
        rules,
        mandate=_mandate(rng.choice(WEIGHTS)),
        limits=replace(rules.limits, max_leverage=Decimal("1.1")),
        markets=spot(rng.choice(tuple(FeeAsset))),
    )


def _mandate(targets: Mapping[str, str]) -> Mandate:
    return Mandate(targets={symbol: Decimal(multiple) for symbol, multiple in targets.items()})
