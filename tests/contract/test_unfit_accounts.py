"""Accounts on which nothing can be sized: no plan is made there, and what takes back or reduces works all the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.domain.market import MarketKind
from keeper.domain.order import Child, ChildState
from keeper.domain.run import RunStatus
from keeper.service.killing import cancel_all
from keeper.venues.ccxt_venue import ExaminedVenue
from tests.contract import bitget_case, gate_case, hyperliquid_case, kraken_case, krakenfutures_case, kucoin_case
from tests.contract.case import Ability, name_of
from tests.contract.cases import on_the_wire
from tests.contract.desk import Desk, desk_in
from tests.contract.test_cancel import rests
from tests.contract.wire_case import WireCase, WireWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """An exchange on which ``value`` of its server's ``attribute`` makes the account one that nothing can be sized on.

    code, words: of the refusal.
    """

    case: WireCase
    attribute: str
    value: object
    code: str
    words: str


UNFIT = [
    Unfit(
        case=kraken_case.CASE,
        attribute="on_margin",
        value={"TF5GVO-T7ZZ2-6NBKBI": {}},
        code="margin",
        words="positions on margin",
    ),
    Unfit(
        case=krakenfutures_case.LINEAR,
        attribute="profits",
        value={"PF_XBTUSD": "BTC"},
        code="pnl_currency",
        words="pays its profits in BTC: set that back to USD",
    ),
    Unfit(
        case=bitget_case.CASE,
        attribute="many_assets",
        value=True,
        code="asset_mode",
        words="switch it to single-asset mode",
    ),
    *(
        Unfit(case=case, attribute="unified", value=True, code="unified_account", words="the account is a unified one")
        for case in (gate_case.CASE, kucoin_case.LINEAR)
    ),
    Unfit(
        case=hyperliquid_case.CASE,
        attribute="mode",
        value="portfolioMargin",
        code="account_mode",
        words="switch unified account or portfolio margin off",
    ),
]
EACH = pytest.mark.parametrize("unfit", UNFIT, ids=[one.case.name for one in UNFIT])


@asynccontextmanager
async def an_unfit_desk(unfit: Unfit, folder: Path) -> AsyncIterator[tuple[Desk, WireWorld]]:
    """The desk of a fund that holds something, on an account that became unfit before this connection."""
    held = {symbol: target * 20_000 for symbol, target in unfit.case.targets.items()}
    async with unfit.case.served(held) as world:
        setattr(world.server, unfit.attribute, unfit.value)
        async with world.connected(), desk_in(world, unfit.case, folder) as desk:
            yield desk, world


@EACH
async def test_nothing_is_planned_on_an_unfit_account_which_is_said_until_it_is_mended(unfit: Unfit, tmp_path: Path) -> None:
    sound = getattr(unfit.case.serve(unfit.case.core()), unfit.attribute)
    async with an_unfit_desk(unfit, tmp_path) as (desk, world):
        plan = await desk.rebalancer.plan()
        assert [one.code for one in plan.refusals] == [unfit.code]
        assert unfit.words in plan.refusals[0].message
        run = await desk.run()
        assert run.status is RunStatus.REFUSED
        assert unfit.words in run.reason
        assert world.taken() == []
        setattr(world.server, unfit.attribute, sound)
        assert (await desk.rebalancer.plan()).refusals == ()


@EACH
async def test_an_unfit_account_is_flattened(unfit: Unfit, tmp_path: Path) -> None:
    async with an_unfit_desk(unfit, tmp_path) as (desk, world):
        assert all(world.exposure(symbol) for symbol in unfit.case.targets)
        run = await desk.flatten()
        assert run.status is RunStatus.COMPLETED, run.reason
        assert world.positions() == {}
        if world.rules(unfit.case.main).kind is MarketKind.SPOT:
            assert all(gap < 1 for gap in _left(world).values())
        await desk.agrees()


def _left(world: WireWorld) -> dict[str, float]:
    """What is held of each coin, as a share of the smallest order."""
    return {
        symbol: float(
            abs(world.exposure(symbol)) / max(world.rules(symbol).smallest * world.mark(symbol), world.rules(symbol).min_cost)
        )
        for symbol in world.case.markets
    }


async def nothing_open() -> tuple[Child, ...]:
    return ()


async def killed(world: WireWorld, case: WireCase) -> None:
    """Our order is canceled, and another's is not, on a connection such as a kill makes."""
    async with world.connected(kind=ExaminedVenue) as venue:
        name = name_of(world)
        ours, other = rests(case, world, case.on_wire(name), case.main), rests(case, world, case.foreign, case.second)
        orders, trouble = await cancel_all(venue, nothing_open)
        assert trouble == ""
        assert [(one.client_id, one.state) for one in orders] == [(name, ChildState.CANCELED)]
        assert not ours.status.rests
        assert other.status.rests


@EACH
async def test_an_unfit_account_is_killed(unfit: Unfit) -> None:
    async with unfit.case.served({unfit.case.main: unfit.case.targets[unfit.case.main] * 20_000}) as world:
        setattr(world.server, unfit.attribute, unfit.value)
        await killed(world, unfit.case)


@on_the_wire(Ability.RESTING, Ability.HEDGE_MODE)
async def test_an_account_in_hedge_mode_is_killed(case: WireCase) -> None:
    async with case.served({case.main: case.targets[case.main] * 20_000}) as world:
        world.core.hedged = True
        await killed(world, case)
