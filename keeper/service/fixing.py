"""Changes how an account trades its markets, for an operator who was asked. The one place from which settings are sent.

Only while nothing is held and nothing rests: a setting changes what a position binds, and where it is liquidated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from keeper.domain.errors import VenueRefused
from keeper.domain.inspection import MarginMode, Modes, Setting
from keeper.inspectable import Inspectable
from keeper.ports import Journal, Venue
from keeper.service.documents import Document
from keeper.service.findings import Facts
from keeper.service.leverage_checks import suggested_leverage

CHANGED = "setting.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting to send. market: its symbol, empty for the whole account; before, after: as told, and as wanted."""

    setting: Setting
    before: str
    after: str
    market: str = ""

    def __str__(self) -> str:
        where = f" of {self.market}" if self.market else ""
        return f"{self.setting.replace('_', ' ')}{where}: {self.before} becomes {self.after}"

    def document(self, *, made: bool) -> Document:
        """As `doctor` prints it. made: whether it was sent, and taken."""
        told = {"setting": self.setting.value, "market": self.market or None, "before": self.before, "after": self.after}
        return {**told, "made": made}


def changes(facts: Facts) -> tuple[Change, ...]:
    """What is to be set, and can be from here, so that the account suits its fund; nothing where all of it does."""
    found = [Change(setting=Setting.POSITION_MODE, before="hedge", after="one-way")] if facts.hedged else []
    for one in facts.markets:
        if not isinstance(one.modes, Modes):
            continue
        if one.modes.margin is MarginMode.ISOLATED:
            found.append(Change(setting=Setting.MARGIN_MODE, before="isolated", after="cross", market=one.symbol))
        leverage = suggested_leverage(facts, one)
        if leverage is not None:
            before = f"{one.modes.leverage:f}"
            found.append(Change(setting=Setting.LEVERAGE, before=before, after=str(leverage), market=one.symbol))
    return tuple(change for change in found if change.setting in facts.ways.by_us)


async def make(venue: Venue, told: Inspectable, journal: Journal, fund: str, wanted: Sequence[Change]) -> None:
    """Send ``wanted``, one after the other, and note each in the chain once it was taken.

    VenueRefused, and nothing sent, while the account holds a position or an order rests; or where the venue takes no such
    change from here. VenueUnavailable when it does not answer: what it took shows when it is asked again.
    """
    account = await venue.account()
    if account.positions or account.open_orders:
        held = [*account.positions, *(f"order {one.order_id}" for one in account.open_orders)]
        raise VenueRefused(
            "not_flat", f"nothing is changed while {', '.join(held)} is open: close it first (`keeper flatten {fund}`)"
        )
    for change in wanted:
        match change.setting:
            case Setting.POSITION_MODE:
                await told.set_one_way()
            case Setting.MARGIN_MODE:
                await told.set_margin(change.market, MarginMode(change.after))
            case Setting.LEVERAGE:
                await told.set_leverage(change.market, int(change.after))
            case _:
                assert_never(change.setting)
        await journal.note(CHANGED, fund=fund, run="", at=venue.clock.now(), payload=change.document(made=True))
