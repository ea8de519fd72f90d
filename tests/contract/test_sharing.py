"""Venues of one process on one exchange: the second takes over the markets that the first one loaded, and trades as it would."""

from keeper.domain.order import Accepted
from keeper.venues.access import Exchanges
from tests.contract.case import order
from tests.contract.cases import on_the_wire
from tests.contract.wire_case import WireCase, WireWorld
from tests.fakes.loopback_venue import plenty


def questions(world: WireWorld) -> set[tuple[str, str]]:
    """What was asked: by path and, where one path takes all questions, by the type that the question names."""
    return {(seen.path, str(seen.parameters.get("type", ""))) for seen in world.server.requests}


@on_the_wire()
async def test_whoever_takes_over_markets_reads_and_trades_like_whoever_loaded_them(case: WireCase) -> None:
    async with case.served() as world:
        shared = Exchanges(world.clock, plenty)
        async with world.connected(exchanges=shared) as first:
            loading = questions(world)
            seen = await first.account(), await first.markets([case.main, case.second])
            world.server.requests.clear()
            async with world.connected(exchanges=shared) as second:
                assert questions(world) < loading, "the markets were loaded again"
                assert second._exchange.markets is first._exchange.markets
                told = await second.account(), await second.markets([case.main, case.second])
                assert (told[0].balances, told[0].positions, told[1]) == (seen[0].balances, seen[0].positions, seen[1])
                assert (await second.quote(case.main)).book.mid == (await first.quote(case.main)).book.mid
                assert (await second.stats(case.main)).volume
                asked = order(world, case.main)
                outcome = await second.place(asked)
                assert isinstance(outcome, Accepted), outcome
                report = await second.lookup(asked.symbol, asked.client_id)
                assert report is not None
                assert sum(fill.amount for fill in await second.fills(asked.symbol, report.order_id)) == report.filled
                await second.cancel(asked.symbol, asked.client_id)
