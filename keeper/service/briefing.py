"""What a plan of a fund is made under, as the journal and the venue have it now."""

from datetime import datetime

from keeper.planning.build import Brief
from keeper.planning.limits import Refusal
from keeper.planning.plan import last_targets
from keeper.ports import Environment, Journal, VenueInfo
from keeper.service.fund import Fund


async def brief_of(fund: Fund, info: VenueInfo, journal: Journal, now: datetime, *, approved_jump: bool) -> Brief:
    """The brief of ``fund``. approved_jump: a human wants targets that are far from those of the run before."""
    footing = await journal.footing(fund.name, "", now)
    blocked = [
        Refusal(
            "unknown_child",
            f"the outcome of {child.request.client_id} ({child.request.side} {child.request.symbol}) is not known",
        )
        for child in footing.open_children
        if not fund.urgent
    ]
    if info.environment is Environment.LIVE:
        blocked.append(Refusal("not_enabled", "a live fund only plans: trade on paper or on a testnet"))
    return Brief(
        fund=fund.name,
        venue=info.name,
        environment=str(info.environment),
        mandate=fund.mandate,
        limits=fund.limits,
        slicer=fund.pacing.planned_slices,
        horizon=fund.pacing.horizon,
        usage=footing.usage,
        standing=footing.standing,
        last_targets=last_targets(await journal.last_gone(fund.name)),
        approved_jump=approved_jump,
        blocked=tuple(blocked),
        urgent=fund.urgent,
    )
