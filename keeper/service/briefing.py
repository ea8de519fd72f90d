"""What a plan of a fund is made under, as the journal and the venue have it now."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.fund import Neighbour
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.limits import BETWEEN_SLOTS, Refusal, not_enabled
from keeper.planning.plan import Plan, last_targets
from keeper.ports import Environment, Journal, VenueInfo
from keeper.service.fund import Fund
from keeper.service.guard import emptied

SHOWN = 5
"""Orders that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an account before a plan. blocked: why nothing may be traded; binding: why no risk may be added."""

    blocked: tuple[Refusal, ...] = ()
    binding: tuple[Refusal, ...] = ()


Preflight = Callable[[], Awaitable[Known]]
"""Looks at the account before a plan; a flattening does not ask."""


async def nothing_known() -> Known:
    """The preflight of an account that nobody looks at."""
    return Known()


async def brief_of(fund: Fund, info: VenueInfo, journal: Journal, now: datetime, *, approved_jump: bool, known: Known) -> Brief:
    """The brief of ``fund``.

    approved_jump: a human wants targets that are far from those of the run before; known: from its preflight.
    """
    footing = await journal.footing(fund.name, "", now)
    blocked = [
        Refusal(
            "unknown_child",
            f"the outcome of {child.request.client_id} ({child.request.side} {child.request.symbol}) is not known",
        )
        for child in footing.open_children
        if not fund.urgent
    ]
    if not fund.urgent:
        blocked += known.blocked
        blocked += [_other_fund(one) for one in await journal.neighbours(fund.name, info.account)]
    if info.environment is Environment.LIVE:
        blocked.append(not_enabled())
    return Brief(
        fund=fund.name,
        venue=info.name,
        environment=str(info.environment),
        mandate=fund.mandate,
        limits=fund.limits,
        slicer=fund.pacing.planned_slices,
        horizon=fund.pacing.from_now(now).horizon,
        usage=footing.usage,
        standing=footing.standing,
        last_targets=last_targets(await journal.last_gone(fund.name)),
        approved_jump=approved_jump,
        blocked=tuple(blocked),
        binding=() if fund.urgent else (*known.binding, *_between_slots(fund)),
        urgent=fund.urgent,
        emptied=await emptied(journal, footing.standing),
        account=info.account,
        rules=fund.rules,
        emergency=fund.braking,
        flows={} if fund.urgent else await journal.flows(fund.name),
    )


def _between_slots(fund: Fund) -> tuple[Refusal, ...]:
    """That nothing may be added between slots, where the mandate does not say both ways."""
    words = 'between its slots the fund only reduces, since intraday.direction is not "both"'
    return (Refusal(BETWEEN_SLOTS, words),) if fund.only_reduces else ()


def planned(brief: Brief, observation: Observation, known: Sequence[Refusal]) -> Plan:
    """The plan of ``brief``. VenueRefused by what is ``known`` of the account where it can't even be valued, else StaleData."""
    try:
        return build(brief, observation)
    except StaleData:
        if known:
            raise VenueRefused(known[0].code, known[0].message) from None
        raise


def _other_fund(other: Neighbour) -> Refusal:
    """Why a fund may not trade an account on which one of another name left something: its caps and halts go by its name."""
    left, remedies = [], []
    if other.halted:
        left.append("is halted")
        remedies.append(f"`keeper resume {other.fund}`")
    if other.unsettled:
        left.append(f"left {len(other.unsettled)} orders of unknown outcome ({', '.join(other.unsettled[:SHOWN])})")
        remedies.append(f"`keeper resolve {other.fund} {other.unsettled[0]}`")
    what = f"fund {other.fund} traded this account before and {' and '.join(left)}"
    return Refusal("other_fund", f"{what}: name the fund {other.fund} once more, or only until {' and '.join(remedies)} is done")
