"""The paper venue's sections: what its market does and what its account holds at the start.

Values only: how prices move and orders fill is the venue's business.
"""

from collections.abc import Mapping
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

from keeper.domain.market import MarketKind
from keeper.domain.numbers import ONE, ZERO, plain
from keeper.settings.symbols import Symbol, symbol_parts
from keeper.settings.values import Amount, Flag, Ratio, Text, Whole, Within, chosen, did_you_mean, fault, read_number

HIGHEST_SEED = 2**63 - 1
Positive = Within(above=0)
Bps = Annotated[Ratio, Within(at_least=0, at_most=1000)]
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


class PaperFeed(Section):
    """What every feed of a paper venue has."""

    prices: Annotated[Mapping[Symbol, Annotated[Amount, Positive]], Field(min_length=1)] = Field(
        description="the markets and their (first) prices, quote per base"
    )
    markets: Mapping[Symbol, MarketSettings] = Field(
        default={}, description="rules and fees of markets that differ from the defaults"
    )

    @field_validator("markets")
    @classmethod
    def _agree(cls, markets: Mapping[str, MarketSettings], info: ValidationInfo) -> Mapping[str, MarketSettings]:
        prices = info.data.get("prices")
        for symbol, market in markets.items():
            if prices is not None and symbol not in prices:
                raise fault(f"has no price: {did_you_mean(symbol, list(prices))}", at=("markets", symbol))
            kind = symbol_parts(symbol).kind
            if market.kind not in (None, kind):
                raise fault(f'must be "{kind}" or left out: that is what the symbol\'s form says', at=("markets", symbol, "kind"))
        return markets


class FixedFeed(PaperFeed):
    """Prices that stand still, for worked examples."""

    kind: Literal["fixed"] = Field(description='"fixed"')
    spread_bps: Bps = Field(default=ZERO, description="best ask less best bid, bps of the price")
    depth: Annotated[
        Decimal | Literal["unlimited"],
        BeforeValidator(read_depth),
        PlainSerializer(_depth_text, return_type=str),
        WithJsonSchema({"anyOf": [{"const": "unlimited"}, {"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]}),
    ] = Field(default="unlimited", description='contracts at the best level, or "unlimited"')


class SyntheticFeed(PaperFeed):
    """A seeded market whose prices, order book and trades move."""

    kind: Literal["synthetic"] = Field(description='"synthetic"')
    seed: Annotated[Whole, Within(at_least=0, at_most=HIGHEST_SEED)] = Field(
        default=7, description="the same seed gives the same market"
    )
    speed: Annotated[Ratio, Within(above=0, at_most=1_000_000)] | None = Field(
        default=None, description="venue seconds per real second; unset: real time"
    )
    volatility: Annotated[Ratio, Within(at_least=0, at_most=10)] = Field(
        default=Decimal("0.6"), description="standard deviation of a year's log return"
    )
    spread_bps: Bps = Field(default=ONE, description="best ask less best bid, bps of the price")
    daily_volume: Annotated[Amount, Positive] = Field(
        default=Decimal(2_000_000_000), description="traded in 24 h, quote; order book depth follows from it"
    )


Feed = Annotated[FixedFeed | SyntheticFeed, Field(discriminator="kind")]


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
