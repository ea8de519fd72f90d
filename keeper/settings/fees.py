"""The section of what a fund charges, and who is owed it."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from keeper.domain.ledger import MANAGER, FeeTerms
from keeper.domain.numbers import ONE, ZERO, exact, plain
from keeper.settings.feeds import Section
from keeper.settings.values import Name, Ratio, Within, fault, instant_text, read_instant

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_day(value: object) -> datetime:
    """The instant at which a day begins in UTC, or a time with its zone; quoted or as TOML writes it."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, str) and _DAY.fullmatch(value):
        value = f"{value}T00:00:00Z"
    try:
        return read_instant(value)
    except PydanticCustomError:
        raise fault('must be a day such as "2026-12-01", or a time with its zone such as "2026-12-01T08:00:00Z"') from None


Day = Annotated[
    datetime,
    BeforeValidator(read_day),
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
_Rate = Annotated[Ratio, Within(at_least=0, at_most=1)]
_OfFlow = Annotated[Ratio, Within(at_least=0, below=1)]


class Dealing(StrEnum):
    """When somebody may subscribe or redeem."""

    ALWAYS = "always"
    AT_REST = "at_rest"


class FeeSettings(Section):
    """What a fund charges; a fee of 0 is switched off."""

    management: _Rate = Field(default=ZERO, description="fraction of NAV in a year of 365 days, accrued by the second")
    performance: _Rate = Field(default=ZERO, description="fraction of what a unit rises above its high-water mark")
    creation: _OfFlow = Field(default=ZERO, description="fraction of a subscription that stays in the fund")
    redemption: _OfFlow = Field(default=ZERO, description="fraction of a redemption that stays in the fund")
    payees: Mapping[Name, Annotated[Ratio, Within(above=0, at_most=1)]] = Field(
        default={}, description="the share of each payee in management and performance fees, together 1; unset: all is manager's"
    )
    since: Day | None = Field(
        default=None, alias="from", description="the day (UTC) or time from which these hold; unset: once they are recorded"
    )

    @field_validator("payees")
    @classmethod
    def _whole(cls, payees: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if payees and (total := _total(payees)) != 1:
            raise fault(f"the shares must come to 1, these come to {plain(total)}: nothing of a fee may be lost or owed twice")
        return payees

    def terms(self) -> FeeTerms:
        """These settings as the books know them."""
        return FeeTerms(
            management=self.management,
            performance=self.performance,
            creation=self.creation,
            redemption=self.redemption,
            payees=dict(self.payees) or {MANAGER: ONE},
            since=self.since,
        )


@exact
def _total(shares: Mapping[str, Decimal]) -> Decimal:
    return sum(shares.values(), ZERO)
