"""What every venue tells of an account before it is traded: nothing that keeps a sound one from it, and nothing that breaks."""

from decimal import Decimal

from keeper.domain.inspection import KeyFacts
from keeper.policy.mandate import Mandate
from keeper.service.briefing import Known
from keeper.service.examination import examine
from keeper.service.findings import Untold, Verdict
from keeper.service.fund import Fund
from keeper.service.observer import Observer
from keeper.service.preflight import Preflight, examined
from keeper.service.premises import Premises
from tests.contract.case import Ability, VenueCase
from tests.contract.cases import every, on_the_wire
from tests.contract.desk import LIMITS, SLICED
from tests.contract.wire_case import WireCase

D = Decimal
PREMISES = Premises(journal="journal", begun=False, fault="", broken=0, free=1 << 40, held=False, schedule=None)


def _fund(case: VenueCase) -> Fund:
    targets = {case.main: D("0.4"), case.second: D("0.05")}
    return Fund(name="contract", mandate=Mandate(targets=targets), limits=LIMITS, pacing=SLICED)


@every()
async def test_a_sound_account_is_let_trade(case: VenueCase) -> None:
    short = D(-6_000) if Ability.REDUCE_ONLY not in case.lacks else D(6_000)
    async with case.opened(held={case.main: D(10_000), case.second: short}) as world:
        observer = await Observer.on(world.venue, [case.main, case.second], None, world.venue.clock)
        preflight = Preflight(_fund(case), world.venue, observer)
        await preflight.look()
        assert await preflight.known() == Known()


@on_the_wire()
async def test_all_that_is_told_of_a_sound_account_can_be_read(case: WireCase) -> None:
    async with case.opened(held={case.main: D(10_000)}) as world:
        fund = _fund(case)
        market = (await world.venue.markets([case.main]))[case.main]
        facts = await examine(fund, world.venue, fund.symbols, market.quote, None, {})
        found = examined(facts, PREMISES)
        assert [one for one in found if one.verdict is Verdict.FAIL] == []
        assert {one.check for one in found if one.market == case.main} >= {"market", "brackets", "fees", "order_size", "lot"}
        assert "margin" in {one.check for one in found}
        assert [one.verdict for one in found if one.check == "equity"] in ([], [Verdict.OK])
        assert isinstance(facts.key, KeyFacts)
        told = facts.markets[0]
        assert not isinstance(told.modes, Untold)
        assert not isinstance(told.fees, Untold)
        assert not isinstance(told.brackets, Untold)
        assert not isinstance(told.ends, Untold)
        assert [
            one.method for one in world.server.requests if one.path.endswith(case.new_order[1]) and one.method == "POST"
        ] == []
