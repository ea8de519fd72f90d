"""The sections of the configuration, their defaults and the rules inside one section; and their pure values.

Rules that need two sections are in ``rules``. A field validator sees the fields above it, so the order of fields matters:
a rule about two keys stands on the lower one and still runs when a third key is wrong.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from keeper.domain.market import MarketKind
from keeper.domain.numbers import ZERO, exact, plain
from keeper.execution.pacing import Pacing, Style
from keeper.planning.limits import Limits
from keeper.policy.breakers import Breakers
from keeper.policy.emergency import CHECK_EVERY, Emergency, emergency_of
from keeper.policy.mandate import Mandate
from keeper.policy.schedule import Schedule
from keeper.policy.steering import Steering
from keeper.ports import Environment
from keeper.settings.addresses import PAPER, Exchange, Host, JournalUrl, Loopback
from keeper.settings.bands import BandSettings, EmergencySettings, check_bands, check_emergency, mandate_of
from keeper.settings.credentials import CredentialsSettings
from keeper.settings.feeds import AccountSettings, Feed, Section, feed_markets
from keeper.settings.fees import Dealing, FeeSettings
from keeper.settings.intraday import IntradaySettings, check_intraday
from keeper.settings.limits import LEVERAGE_CEILING, BreakerSettings, LimitSettings
from keeper.settings.schedules import ScheduleSettings
from keeper.settings.steering import SteeringSettings, check_steering
from keeper.settings.symbols import Assets, Symbol, symbol_parts
from keeper.settings.values import (
    Duration,
    Name,
    Ratio,
    Whole,
    Within,
    chosen,
    did_you_mean,
    fault,
    read_choice,
    read_text,
)

V = TypeVar("V")


class KeeperSettings(Section):
    """What concerns the whole process."""

    journal: JournalUrl = Field(
        default="sqlite:///var/keeper.db",
        description="where runs, orders and fills are recorded; a relative path starts at the configuration file",
        repr=False,
    )


class MarketDataSource(StrEnum):
    """Where order books come from."""

    REST = "rest"
    STREAM = "stream"


class VenueSettings(Section):
    """One exchange account."""

    exchange: Exchange = Field(description='"binanceusdm", "binance" (spot) or "paper"')
    environment: Environment = Field(
        default=Environment.PAPER,
        validate_default=True,
        description='"live", "testnet" or "paper"; "paper" only on exchange = "paper"',
    )
    credentials: CredentialsSettings = Field(default=CredentialsSettings(), description="the account's keys")
    hosts: Mapping[Host, Loopback] = Field(default={}, description="hosts replaced by servers on this machine, for tests")
    market_data: Annotated[MarketDataSource, chosen(MarketDataSource)] = Field(
        default=MarketDataSource.REST,
        description='"rest", or "stream": order books as the exchange sends them, and word of orders, as long as it does',
    )
    feed: Feed | None = Field(
        default=None,
        validate_default=True,
        description='the market of a paper venue: kind = "fixed", "synthetic", "recorded" or "ccxt"',
    )
    account: AccountSettings | None = Field(
        default=None, validate_default=True, description="what a paper account holds at the start"
    )

    @field_validator("environment", mode="before")
    @classmethod
    def _environment(cls, value: object, info: ValidationInfo) -> Environment:
        exchange = info.data.get("exchange")
        if value is Environment.PAPER and exchange not in (None, PAPER):
            raise fault('is required: "live" or "testnet"')
        environment = value if isinstance(value, Environment) else read_choice(Environment)(value)
        if exchange == PAPER and environment is not Environment.PAPER:
            raise fault('must be "paper", or left out, on exchange = "paper"')
        if environment is Environment.PAPER and exchange not in (None, PAPER):
            raise fault(f'"paper" does not go with "{exchange}" for now: use exchange = "paper", or "testnet" or "live"')
        return environment

    @field_validator("credentials", "hosts", "market_data")
    @classmethod
    def _not_on_paper(cls, value: V, info: ValidationInfo) -> V:
        if value != cls.model_fields[info.field_name or ""].default and info.data.get("exchange") == PAPER:
            raise fault('has no use on exchange = "paper": remove it', value="(set)")
        return value

    @field_validator("feed", "account")
    @classmethod
    def _only_on_paper(cls, value: V, info: ValidationInfo) -> V:
        exchange = info.data.get("exchange")
        if value is None and exchange == PAPER:
            words = (
                'kind = "synthetic" or "fixed"' if info.field_name == "feed" else 'account = { balances = { USDT = "100000" } }'
            )
            raise fault(f'is required on exchange = "paper": {words}')
        if value is not None and exchange not in (None, PAPER):
            raise fault('belongs to exchange = "paper" only: remove it')
        return value

    @field_validator("account")
    @classmethod
    def _priced(cls, account: AccountSettings | None, info: ValidationInfo) -> AccountSettings | None:
        feed = info.data.get("feed")
        known = feed_markets(feed) if feed is not None else None
        if account is None or known is None:
            return account
        symbols, listed = known
        for symbol in account.positions:
            if symbol not in symbols:
                near = did_you_mean(symbol, list(symbols))
                raise fault(f"has no price in {listed}: {near}", at=("account", "positions", symbol))
        return account


class ExecutionSettings(Section):
    """How orders are spread over time."""

    style: Annotated[Style, chosen(Style)] = Field(default=Style.TWAP, description='"twap" (slices) or "urgent" (at once)')
    horizon: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(hours=24))] = Field(
        default=timedelta(minutes=30), description="the longest a run may take", json_schema_extra={"default": "30m"}
    )
    slices: Annotated[Whole, Within(at_least=1, at_most=1000)] = Field(default=12, description="orders that a leg is spread over")
    max_depth: Annotated[Ratio, Within(above=0, at_most=1)] = Field(
        default=Decimal("0.2"), description="fraction of the depth inside the collar that one slice may take"
    )


class FundSettings(Section):
    """One mandate on one venue."""

    venue: Name = Field(description="a name under [venues]")
    target: Annotated[Mapping[Symbol, Ratio], Field(min_length=1)] = Field(description="signed multiples of NAV by symbol")
    currency: str = Field(
        default="", validate_default=True, description="what NAV is counted in; unset: the quote currency of the target's symbols"
    )
    assets: Assets | None = Field(
        default=None,
        description="what of a spot account is the fund's, the rest is left alone; unset: the target's assets and the currency",
    )
    schedule: ScheduleSettings | None = Field(default=None, description="unset: only when asked")
    bands: BandSettings = Field(default=BandSettings(), description="how far the fund may stray")
    emergency: EmergencySettings | None = Field(
        default=None, validate_default=True, description="unset: leverage once a third of the way to liquidation is gone"
    )
    intraday: IntradaySettings = Field(default=IntradaySettings(), description="when else it acts between its slots")
    execution: ExecutionSettings = Field(default=ExecutionSettings(), validate_default=True, description="how orders are spread")
    limits: LimitSettings = Field(default=LimitSettings(), validate_default=True, description="what no order may exceed")
    breakers: BreakerSettings = Field(
        default=BreakerSettings(), validate_default=True, description="when it may only reduce, or not trade at all"
    )
    target_from: SteeringSettings = Field(default=SteeringSettings(), validate_default=True, description="who names the targets")
    fees: FeeSettings = Field(default=FeeSettings(), description="what its holders are charged")
    dealing: Annotated[Dealing, chosen(Dealing)] = Field(
        default=Dealing.ALWAYS,
        description='when somebody may subscribe or redeem: "always", or "at_rest": while no run is at work',
    )

    @field_validator("target")
    @classmethod
    def _one_market_an_asset(cls, target: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        parts = {symbol: symbol_parts(symbol) for symbol in target}
        holders: dict[str, str] = {}
        for symbol, part in parts.items():
            if part.base in holders:
                raise fault(
                    f'"{holders[part.base]}" and "{symbol}" both hold {part.base}, and which of them a trade is for would be'
                    " ambiguous: keep one"
                )
            holders[part.base] = symbol
        quotes = sorted({part.quote for part in parts.values()})
        if len(quotes) > 1:
            raise fault(f"all symbols of a fund must share one quote currency, these have {' and '.join(quotes)}")
        if gross(target) > LEVERAGE_CEILING:
            raise fault(
                f"gross target leverage {plain(gross(target))} is above {LEVERAGE_CEILING}, the ceiling that no setting raises"
            )
        return target

    @field_validator("currency", mode="before")
    @classmethod
    def _quote(cls, value: object, info: ValidationInfo) -> str:
        target = info.data.get("target")
        quote = symbol_parts(next(iter(target))).quote if target else ""
        if value == "":
            return quote
        currency = read_text(value)
        if quote and currency != quote:
            raise fault(f'must be "{quote}", the quote currency of the target, or left out')
        return currency

    @field_validator("assets")
    @classmethod
    def _its_own(cls, assets: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        target, currency = info.data.get("target"), info.data.get("currency")
        if assets is None or not target or not currency:
            return assets
        if not all(symbol_parts(symbol).kind is MarketKind.SPOT for symbol in target):
            raise fault("belongs to funds of spot markets only: everything in a derivatives account is collateral; remove it")
        missing = [asset for asset in _traded_assets(target, currency) if asset not in assets]
        if missing:
            raise fault(f"must name {' and '.join(missing)} as well: the fund trades in it")
        kept = [asset for asset in assets if asset not in _traded_assets(target, currency)]
        if kept and not gross(target) < 1:
            total = plain(gross(target))
            raise fault(
                f"{' and '.join(kept)} has no target and needs room: sum of weights < 1 must hold, but {total} >= 1;"
                " lower the weights or give it one"
            )
        return assets

    @field_validator("bands")
    @classmethod
    def _around_the_target(cls, bands: BandSettings, info: ValidationInfo) -> BandSettings:
        if target := info.data.get("target"):
            check_bands(target, bands)
        return bands

    @field_validator("emergency")
    @classmethod
    def _outside_the_bands(cls, emergency: EmergencySettings | None, info: ValidationInfo) -> EmergencySettings | None:
        target, bands = info.data.get("target"), info.data.get("bands")
        if target and bands:
            check_emergency(target, bands, emergency)
        return emergency

    @field_validator("intraday")
    @classmethod
    def _with_a_band_to_leave(cls, intraday: IntradaySettings, info: ValidationInfo) -> IntradaySettings:
        target, bands = info.data.get("target"), info.data.get("bands")
        if target and bands:
            check_intraday(target, bands, intraday)
        return intraday

    @field_validator("execution")
    @classmethod
    def _over_before_the_next(cls, execution: ExecutionSettings, info: ValidationInfo) -> ExecutionSettings:
        schedule = info.data.get("schedule")
        if schedule:
            schedule.fitting(execution.horizon)
        return execution

    @field_validator("limits")
    @classmethod
    def _target_within(cls, limits: LimitSettings, info: ValidationInfo) -> LimitSettings:
        target = info.data.get("target")
        if target and gross(target) > limits.max_leverage:
            raise fault(
                f"gross target leverage {plain(gross(target))} is above limits.max_leverage = {plain(limits.max_leverage)}:"
                f" lower the target or raise that limit (at most {LEVERAGE_CEILING})",
                at=("target",),
            )
        distance = limits.min_liquidation_distance
        derivatives = [symbol for symbol in target or () if symbol_parts(symbol).kind is not MarketKind.SPOT]
        if target and derivatives and not gross(target) * distance < 1:
            raise fault(
                "gross target leverage * min_liquidation_distance < 1 must hold, since a fund at L is liquidated within 1/L, but"
                f" {plain(gross(target))} * {plain(distance)} >= 1: lower one of them",
                at=("limits", "min_liquidation_distance"),
            )
        return limits

    @field_validator("limits")
    @classmethod
    def _enough_orders(cls, limits: LimitSettings, info: ValidationInfo) -> LimitSettings:
        execution, target = info.data.get("execution"), info.data.get("target")
        if not execution or not target:
            return limits
        most, name = min((limits.max_orders_per_run, "max_orders_per_run"), (limits.max_orders_per_day, "max_orders_per_day"))
        if not execution.slices * len(target) <= most:
            raise fault(
                f"execution.slices times markets <= {name} must hold, but {execution.slices} * {len(target)} > {most}:"
                " use fewer slices or allow more orders",
                at=("limits", name),
            )
        return limits

    @field_validator("breakers")
    @classmethod
    def _room_for_slots(cls, breakers: BreakerSettings, info: ValidationInfo) -> BreakerSettings:
        schedule, intraday = info.data.get("schedule"), info.data.get("intraday")
        slots = schedule.counted(breakers.runs_per_hour) if schedule else 0
        if intraday:
            intraday.counted(slots, breakers.runs_per_hour)
        return breakers

    @field_validator("target_from")
    @classmethod
    def _going_with_the_rest(cls, target_from: SteeringSettings, info: ValidationInfo) -> SteeringSettings:
        target, bands, limits = (info.data.get(key) for key in ("target", "bands", "limits"))
        if target and bands and limits and "emergency" in info.data:
            check_steering(target_from, target, bands, info.data["emergency"], limits)
        return target_from

    def mandate(self) -> Mandate:
        """What the fund holds."""
        return mandate_of(self.target, self.bands, self.emergency)

    def emergency_value(self) -> Emergency:
        """When the fund is de-levered between slots, and how far."""
        told = self.emergency
        return emergency_of(
            self.mandate(),
            to=told.to if told else None,
            safe_distance=self.limits.min_liquidation_distance,
            check_every=told.check_every if told else CHECK_EVERY,
        )

    def steering_value(self) -> Steering | None:
        """What targets that are named elsewhere may be; None where none are."""
        return self.target_from.value(self.emergency.to if self.emergency else None)

    def own_assets(self) -> frozenset[str] | None:
        """The assets that are the fund's; None where all of the account is, as with derivatives."""
        if not all(symbol_parts(symbol).kind is MarketKind.SPOT for symbol in self.target):
            return None
        return frozenset(self.assets or _traded_assets(self.target, self.currency))

    def kept_symbols(self) -> tuple[str, ...]:
        """The spot markets that price the assets which the fund owns and does not trade, such as the coin that pays fees."""
        traded = _traded_assets(self.target, self.currency)
        return tuple(f"{asset}/{self.currency}" for asset in self.assets or () if asset not in traded)

    def limits_value(self) -> Limits:
        """What no order of the fund may exceed."""
        return Limits(**dict(self.limits))

    def breakers_value(self) -> Breakers:
        """How much is too much for the fund."""
        return Breakers(**dict(self.breakers))

    def pacing(self) -> Pacing:
        """How the fund's legs are worked."""
        return Pacing(
            style=self.execution.style,
            horizon=self.execution.horizon,
            slices=self.execution.slices,
            max_depth=self.execution.max_depth,
        )

    @property
    def acts_by_itself(self) -> bool:
        """Whether a daemon has anything to do for the fund that nobody asks for."""
        return self.schedule is not None or self.intraday.value() is not None

    def schedule_value(self) -> Schedule | None:
        """When the fund acts by itself; None where it only acts when asked."""
        return None if self.schedule is None else self.schedule.value()


def _traded_assets(target: Mapping[str, Decimal], currency: str) -> tuple[str, ...]:
    """The bases of ``target``, and what they are paid with."""
    return (*(symbol_parts(symbol).base for symbol in target), currency)


@exact
def gross(target: Mapping[str, Decimal]) -> Decimal:
    """Sum of absolute multiples of NAV."""
    return sum((abs(multiple) for multiple in target.values()), ZERO)
