"""The paper venue's sections: what its market does and what its account holds at the start.

Values only: how prices move and orders fill is the venue's business.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from keeper.domain.market import FeeAsset, MarketKind
from keeper.domain.numbers import ONE, ZERO, plain
from keeper.settings.addresses import PAPER, Exchange, Host, Loopback
from keeper.settings.symbols import Symbol, symbol_parts
from keeper.settings.values import Amount, Flag, Instant, Ratio, Text, Whole, Within, chosen, did_you_mean, fault, read_number

HIGHEST_SEED = 2**63 - 1
Positive = Within(above=0)
Bps = Annotated[Ratio, Within(at_least=0, at_most=1000)]
Seed = Annotated[Whole, Within(at_least=0, at_most=HIGHEST_SEED)]
Speed = Annotated[Ratio, Within(above=0, at_most=1_000_000)]
FeeBps = Annotated[Ratio, Within(at_least=-100, at_most=1000)]


class Section(BaseModel):
    """A table of the configuration: frozen, strict, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def read_depth(value: object) -> Decimal | Literal["unlimited"]:
    """Contracts at the best level, or the word "unlimited"."""
    if isinstance(value, str) and value == "unlimited":
        return "unlimited"
    depth = read_number(value)
    if not depth > 0:
        raise fault('must be "unlimited" or a positive number of contracts')
    return depth


def _depth_text(value: Decimal | str) -> str:
    return plain(value) if isinstance(value, Decimal) else value


class MarketSettings(Section):
    """One market of a paper venue."""

    kind: Annotated[MarketKind | None, chosen(MarketKind)] = Field(
        default=None, description='"spot", "linear" or "inverse"; unset: as the symbol says'
    )
    contract_size: Annotated[Amount, Positive] = Field(
        default=ONE, description="base per contract (spot, linear) or quote per contract (inverse)"
    )
    tick: Annotated[Amount, Positive] = Field(default=Decimal("0.01"), description="price step, quote per base")
    lot: Annotated[Amount, Positive] = Field(default=Decimal("0.000001"), description="amount step, contracts")
    min_amount: Annotated[Amount, Within(at_least=0)] = Field(default=ZERO, description="smallest order, contracts")
    min_cost: Annotated[Amount, Within(at_least=0)] = Field(default=ZERO, description="smallest order, quote")
    taker_bps: FeeBps = Field(default=ZERO, description="taker fee, bps of notional")
    maker_bps: FeeBps = Field(default=ZERO, description="maker fee, bps of notional; a rebate is negative")
    fee_in: Annotated[FeeAsset, chosen(FeeAsset)] = Field(
        default=FeeAsset.SETTLE,
        description='what fees are taken in: "settle" (the quote, on spot) or "received" (a spot buy pays in coins)',
    )
    funding_bps: FeeBps = Field(
        default=ZERO, description="what longs pay shorts every eight hours, bps of notional; negative where shorts pay"
    )


Markets = Mapping[Symbol, MarketSettings]


def agreeing(markets: Markets, known: Mapping[str, object] | None, lack: str) -> Markets:
    """``markets`` when each is among ``known`` and of the kind that its symbol says; ``lack``: what an unknown one has not."""
    for symbol, market in markets.items():
        if known is not None and symbol not in known:
            raise fault(f"has no {lack}: {did_you_mean(symbol, list(known))}", at=("markets", symbol))
        kind = symbol_parts(symbol).kind
        if market.kind not in (None, kind):
            raise fault(f'must be "{kind}" or left out: that is what the symbol\'s form says', at=("markets", symbol, "kind"))
        if kind is MarketKind.SPOT and market.funding_bps:
            raise fault("must be 0 or left out: a spot market has no funding", at=("markets", symbol, "funding_bps"))
    return markets


class PricedFeed(Section):
    """What a feed has that makes its market up."""

    prices: Annotated[Mapping[Symbol, Annotated[Amount, Positive]], Field(min_length=1)] = Field(
        description="the markets and their (first) prices, quote per base"
    )
    markets: Markets = Field(default={}, description="rules and fees of markets that differ from the defaults")

    @field_validator("markets")
    @classmethod
    def _agree(cls, markets: Markets, info: ValidationInfo) -> Markets:
        return agreeing(markets, info.data.get("prices"), "price")


class FixedFeed(PricedFeed):
    """Prices that stand still, for worked examples."""

    kind: Literal["fixed"] = Field(description='"fixed"')
    spread_bps: Bps = Field(default=ZERO, description="best ask less best bid, bps of the price")
    depth: Annotated[
        Decimal | Literal["unlimited"],
        BeforeValidator(read_depth),
        PlainSerializer(_depth_text, return_type=str),
        WithJsonSchema({"anyOf": [{"const": "unlimited"}, {"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]}),
    ] = Field(default="unlimited", description='contracts at the best level, or "unlimited"')


class SyntheticFeed(PricedFeed):
    """A seeded market whose prices, order book and trades move."""

    kind: Literal["synthetic"] = Field(description='"synthetic"')
    seed: Seed = Field(default=7, description="the same seed gives the same market")
    speed: Speed | None = Field(default=None, description="venue seconds per real second; unset: real time")
    volatility: Annotated[Ratio, Within(at_least=0, at_most=10)] = Field(
        default=Decimal("0.6"), description="standard deviation of a year's log return"
    )
    spread_bps: Bps = Field(default=ONE, description="best ask less best bid, bps of the price")
    daily_volume: Annotated[Amount, Positive] = Field(
        default=Decimal(2_000_000_000), description="traded in 24 h, quote; order book depth follows from it"
    )


class RecordingSettings(Section):
    """The files of one market."""

    path: Text = Field(
        description="a file of bars, .csv or .parquet (ts, open, high, low, close, volume); with name, the folder of an order"
        " book's files; a relative path starts at the configuration file"
    )
    name: Text | None = Field(
        default=None, description="what the files of a recorded order book begin with: NAME_deltas and NAME_trades; unset: bars"
    )


class RecordedFeed(Section):
    """A market that was recorded, played again in its own time."""

    kind: Literal["recorded"] = Field(description='"recorded"')
    files: Annotated[Mapping[Symbol, RecordingSettings], Field(min_length=1)] = Field(
        description="the markets and their recordings"
    )
    markets: Markets = Field(
        default={}, validate_default=True, description="rules and fees of markets that differ from the defaults"
    )
    start: Instant | None = Field(default=None, description="when to begin; unset: where the recordings do")
    end: Instant | None = Field(default=None, description="when to end; unset: where the first recording does")
    speed: Speed | None = Field(default=None, description="venue seconds per real second; unset: as fast as possible")
    seed: Seed = Field(default=7, description="of the order of high and low inside a bar, and of the latency of orders")
    spread_bps: Bps = Field(default=ONE, description="best ask less best bid around bars, bps of the price")

    @field_validator("markets")
    @classmethod
    def _agree(cls, markets: Markets, info: ValidationInfo) -> Markets:
        files: Mapping[str, RecordingSettings] | None = info.data.get("files")
        for symbol, recording in (files or {}).items():
            given = markets[symbol].model_fields_set if symbol in markets else frozenset()
            for key in ("tick", "lot"):
                if recording.name is not None and key not in given:
                    raise fault(f"is required: a recorded order book counts in steps of its {key}", at=("markets", symbol, key))
        return agreeing(markets, files, "recording")

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        start = info.data.get("start")
        if end is not None and start is not None and not start < end:
            raise fault("must be later than start")
        return end


class CcxtFeed(Section):
    """The public market of a real exchange as it is now; orders only seem to be sent."""

    kind: Literal["ccxt"] = Field(description='"ccxt"')
    exchange: Exchange = Field(description='a ccxt id such as "binanceusdm": its markets, books and fees; no keys')
    hosts: Mapping[Host, Loopback] = Field(default={}, description="hosts replaced by servers on this machine, for tests")

    @field_validator("exchange")
    @classmethod
    def _real(cls, exchange: str) -> str:
        if exchange == PAPER:
            raise fault('must be the id of a ccxt exchange, such as "binanceusdm": a paper exchange has no market of its own')
        return exchange


Feed = Annotated[FixedFeed | SyntheticFeed | RecordedFeed | CcxtFeed, Field(discriminator="kind")]


def feed_markets(feed: Feed) -> tuple[tuple[str, ...], str] | None:
    """The symbols that a feed has and the key that lists them; None where only the exchange knows."""
    match feed:
        case CcxtFeed():
            return None
        case RecordedFeed():
            return tuple(feed.files), "feed.files"
        case _:
            return tuple(feed.prices), "feed.prices"


class PositionSettings(Section):
    """A position that a paper account starts with."""

    contracts: Amount = Field(description="contracts, negative for a short")
    entry: Annotated[Amount, Positive] = Field(description="average entry price, quote per base")


class AccountSettings(Section):
    """What a paper account holds at the start."""

    balances: Annotated[Mapping[Text, Amount], Field(min_length=1)] = Field(
        description="units by asset, without open profit; negative when borrowed"
    )
    positions: Mapping[Symbol, PositionSettings] = Field(default={}, description="derivatives by symbol")
    borrow: Flag | None = Field(
        default=None, description="whether orders may take a balance below zero; unset: only if one starts below zero"
    )

    @field_validator("positions")
    @classmethod
    def _derivatives(cls, positions: Mapping[str, PositionSettings]) -> Mapping[str, PositionSettings]:
        for symbol, position in positions.items():
            if symbol_parts(symbol).kind is MarketKind.SPOT:
                raise fault("a spot holding is a balance: name the asset in account.balances", at=("positions", symbol))
            if not position.contracts:
                raise fault("a position of 0 is none: leave it out", at=("positions", symbol, "contracts"))
        return positions

    @property
    def may_borrow(self) -> bool:
        """Whether orders may take a balance below zero."""
        return any(amount < 0 for amount in self.balances.values()) if self.borrow is None else self.borrow
