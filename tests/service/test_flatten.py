"""To flatten is the brake: whatever is wrong it goes on, only reduces, never passes the position, and a human can stop it."""

from datetime import timedelta
from pathlib import Path

import pytest

from keeper.domain.account import Account
from keeper.domain.fund import FundState, Standing
from keeper.domain.order import Child, OrderRequest
from keeper.domain.run import CommandKind, RunStatus
from keeper.policy.breakers import Cause
from keeper.service.guard import HELD_BACK
from tests.fakes.daemon_desks import kept
from tests.fakes.daemons import command, memory
from tests.fakes.desks import Desk, agrees_with_the_venue, desk_of, drifted
from tests.fakes.paper import PERP, START


def never_past_zero(desk: Desk) -> None:
    """From here on each order must find a position at least as big as itself, on the other side."""

    def judge(request: OrderRequest) -> None:
        held = desk.venue.held.positions[request.symbol].contracts
        assert request.reduce_only
        assert held * request.side.sign < 0
        assert request.amount <= abs(held)

    desk.venue.on_place = judge


@pytest.mark.parametrize("halted_before", [True, False])
@pytest.mark.parametrize("by", ["the venue", "nobody"])
async def test_a_position_that_moved_by_itself_does_not_keep_a_fund_from_being_flattened(
    tmp_path: Path, by: str, *, halted_before: bool
) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "-500", "105", forced=by == "the venue")
        if by == "nobody":
            desk.venue.foreign.clear()
        if halted_before:
            await desk.run()
        assert (await desk.journal.standing("btc3l")).halted is halted_before
        never_past_zero(desk)
        run = await desk.flatten()
        assert (run.status, desk.venue.held.positions) == (RunStatus.COMPLETED, {})
        assert (await desk.journal.standing("btc3l")).flattened
        [noted] = await desk.journal.events(kind=HELD_BACK)
        assert (noted.payload["cause"], PERP in str(noted.payload["why"])) == (Cause.POSITION, True)
        await agrees_with_the_venue(desk)


@pytest.mark.parametrize("moved", [True, False])
async def test_to_flatten_needs_no_list_of_orders(tmp_path: Path, *, moved: bool) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        if moved:
            desk.venue.meddle(PERP, "-500", "105", forced=True)
        desk.venue.failing["orders"] = 10**6
        never_past_zero(desk)
        run = await desk.flatten()
        assert (run.status, desk.venue.held.positions) == (RunStatus.COMPLETED, {})
        assert len(await desk.journal.events(kind=HELD_BACK)) == moved


async def test_what_would_halt_a_fund_that_is_to_be_flattened_ends_every_other_run_and_halts_it_once_it_is_resumed(
    tmp_path: Path,
) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.venue.clock.now()))
        desk.venue.meddle(PERP, "900", "105")
        desk.venue.foreign.clear()
        sent = len(desk.venue.sent)
        assert (await desk.run()).status is RunStatus.INCOMPLETE
        assert (len(desk.venue.sent), (await desk.journal.standing("btc3l")).state) == (sent, FundState.REDUCE_ONLY)
        await desk.journal.submit_command(command(CommandKind.RESUME, desk.venue.clock.now(), name="c2"))
        await desk.run()
        assert (await desk.journal.standing("btc3l")).cause == Cause.POSITION
        assert (await desk.journal.standing("btc3l")).halted


async def test_a_human_s_halt_stops_a_flattening(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        asked: list[OrderRequest] = []

        tell = desk.venue.account

        async def account() -> Account:
            if len(asked) == 2 and not (await desk.journal.standing("btc3l")).halted:
                await desk.journal.submit_command(command(CommandKind.HALT, desk.venue.clock.now(), name="h1"))
            return await tell()

        desk.venue.on_place = asked.append
        desk.venue.account = account  # type: ignore[method-assign]
        run = await desk.flatten()
        assert (run.status, len(asked)) == (RunStatus.INCOMPLETE, 2)
        assert (await desk.journal.standing("btc3l")).halted


async def test_a_journal_that_lacks_orders_does_not_keep_the_daemon_from_flattening() -> None:
    async with kept() as desk:
        await desk.kept_until(START + timedelta(minutes=30))
        desk.journal = desk.venues.journal = memory()
        async with desk.daemon():
            await desk.passed(minutes=1)
            assert (await desk.journal.standing("btc3l")).cause == Cause.JOURNAL
            await desk.passed(minutes=15)  # so that the daemon connects anew, and looks at the orders again
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now))
            await desk.passed(minutes=15)
        assert desk.venue.held.positions == {}


async def test_a_forced_trade_in_a_run_does_not_keep_what_cuts_it_from_flattening() -> None:
    async with kept() as desk:
        async with desk.daemon():
            await desk.when(lambda: len(desk.venue.sent) == 3)
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.now))
            desk.venue.meddle(PERP, "-500", "105", forced=True)
            await desk.passed(minutes=30)
        assert desk.venue.held.positions == {}


@pytest.mark.parametrize("forced", [True, False])
async def test_what_was_held_back_halts_the_fund_once_it_is_resumed(tmp_path: Path, *, forced: bool) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        await desk.run()
        desk.venue.meddle(PERP, "-500", "105", forced=forced)
        if not forced:
            desk.venue.foreign.clear()
        await desk.flatten()
        await desk.journal.submit_command(command(CommandKind.RESUME, desk.venue.clock.now(), name="c2"))
        sent = len(desk.venue.sent)
        await desk.run()
        standing = await desk.journal.standing("btc3l")
        assert (len(desk.venue.sent), standing.state, standing.cause) == (sent, FundState.HALTED, Cause.POSITION)


async def test_no_order_that_adds_risk_is_intended_once_the_fund_is_to_be_flattened(tmp_path: Path) -> None:
    """The gate looked right before, and the request was committed in between."""
    async with desk_of(drifted(), tmp_path) as desk:
        record = desk.journal.record_intent

        async def flattened_first(child: Child) -> Standing | None:
            desk.journal.record_intent = record  # type: ignore[method-assign]
            await desk.journal.submit_command(command(CommandKind.FLATTEN, desk.venue.clock.now()))
            return await record(child)

        desk.journal.record_intent = flattened_first  # type: ignore[method-assign]
        run = await desk.run()
        assert desk.venue.sent == []
        assert run.status is RunStatus.REFUSED
        assert "may only reduce" in run.reason
