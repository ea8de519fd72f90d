"""What keeps a fund from trading at its start: told by its account, asked once, and never held against a flattening."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.account import Account
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused, VenueUnavailable
from keeper.domain.inspection import Bracket, Contact, FeeRates, KeyFacts, MarginMode, Modes, Setting, Ways
from keeper.domain.run import RunStatus
from keeper.planning.limits import Refusal
from keeper.ports import Environment
from keeper.service.briefing import Known
from keeper.service.fixing import Change, make
from keeper.service.observer import Observer
from keeper.service.preflight import Preflight
from keeper.service.rebalancer import Rebalancer
from tests.fakes.checkups import fund
from tests.fakes.desks import desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import ScriptedVenue

D = Decimal
NO_TIME = timedelta(0)


class ToldVenue(ScriptedVenue):
    """A venue that also tells of its account.

    told: of the key, or why not; leverage: the setting of every market, None where there is none, or why it is not told;
    reckoned: its own equities, one for each read, the last of them for all further ones; asked: what was asked or set, in order.
    """

    told: KeyFacts | Exception
    leverage: Decimal | Exception | None
    reckoned: list[Mapping[str, Decimal]]
    asked: list[str]
    unfit: UnfitAccount | None = None

    @property
    def reached(self) -> Mapping[str, str]:
        return {}

    @property
    def ways(self) -> Ways:
        return Ways()

    async def contact(self) -> Contact:
        return Contact(latency=NO_TIME, offset=NO_TIME)

    async def admit(self) -> None:
        self.asked.append("admit")
        if self.unfit is not None:
            raise self.unfit

    async def key(self) -> KeyFacts:
        self.asked.append("key")
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    async def account_mode(self, symbol: str) -> str:  # noqa: ARG002
        return ""

    async def modes(self, symbol: str) -> Modes:
        self.asked.append(f"modes {symbol}")
        if isinstance(self.leverage, Exception):
            raise self.leverage
        return Modes(hedged=False, margin=MarginMode.CROSS, leverage=self.leverage)

    async def fees(self, symbol: str) -> FeeRates | None:  # noqa: ARG002
        return None

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:  # noqa: ARG002
        return ()

    def most_leverage(self, symbol: str) -> Decimal | None:  # noqa: ARG002
        return None

    async def ends(self, symbol: str) -> None:
        """Nothing is announced."""

    async def set_one_way(self) -> None:
        self.asked.append("one-way")

    async def set_margin(self, symbol: str, mode: MarginMode) -> None:
        self.asked.append(f"{mode} {symbol}")

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        self.asked.append(f"{leverage}x {symbol}")

    async def account(self) -> Account:
        account = replace(await super().account(), positions=(await self.inner.account()).positions)  # at the marks of now
        if not self.reckoned:
            return account
        told = self.reckoned.pop(0) if len(self.reckoned) > 1 else self.reckoned[0]
        return replace(account, equities=told)


class SlowToTell(ToldVenue):
    """One that tells of key and settings only once the account was asked for as well."""

    looked: asyncio.Event

    async def key(self) -> KeyFacts:
        await asyncio.wait_for(self.looked.wait(), 1)
        return await super().key()

    async def modes(self, symbol: str) -> Modes:
        await asyncio.wait_for(self.looked.wait(), 1)
        return await super().modes(symbol)

    async def account(self) -> Account:
        self.looked.set()
        return await super().account()


def told_venue(held: bool = True, price: str = "105", kind: type[ToldVenue] = ToldVenue) -> ToldVenue:  # noqa: FBT001, FBT002
    """Worked example 1 at 115,000 USDT, or with nothing held 100,000; sound. price: of now, where it was bought at 100."""
    positions = {PERP: ("3000", "100")} if held else {}
    venue = kind(paper_venue(moving_feed({PERP: price}), opening({"USDT": "100000"}, positions)))
    venue.told, venue.reckoned, venue.asked = KeyFacts(may_trade=True, may_withdraw=False, ip_bound=True), [], []
    venue.leverage = None
    return venue


SOUND, OTHER = {"USDT": D(115_000)}, {"USDT": D(90_000)}


async def _preflight(venue: ToldVenue) -> Preflight:
    made = Preflight(fund(), venue, await Observer.on(venue, [PERP], None, venue.clock))
    await made.look()
    return made


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        (KeyFacts(may_trade=True, may_withdraw=True), ["withdrawals"]),
        (KeyFacts(may_trade=False, may_withdraw=False), ["trading"]),
        (KeyFacts(), []),
        (VenueUnavailable("no answer"), []),
        (VenueRefused("x", "not told"), []),
    ],
)
async def test_a_key_is_held_against_an_account_for_what_it_may_do_alone(told: KeyFacts | Exception, codes: list[str]) -> None:
    async with told_venue() as venue:
        venue._info = replace(venue.info, environment=Environment.LIVE)
        venue.told = told
        assert [one.code for one in (await (await _preflight(venue)).known()).blocked] == codes


async def test_an_account_that_can_t_be_sized_on_is_asked_about_at_each_plan_until_it_is_mended() -> None:
    async with told_venue() as venue:
        venue.unfit = UnfitAccount("unified_account", "switch it to the classic mode")
        made = await _preflight(venue)
        for _ in range(2):
            assert (await made.known()).blocked == (Refusal("unified_account", "switch it to the classic mode"),)
        assert set(venue.asked) == {"admit"}
        venue.unfit = None
        assert await made.known() == Known()


async def test_an_account_that_can_t_even_be_valued_is_refused_for_what_it_is_unfit_for(tmp_path: Path) -> None:
    async with told_venue(held=False) as venue, desk_of(venue, tmp_path) as desk:
        venue.unfit = UnfitAccount("unified_account", "switch it to the classic mode")
        venue.inner._ledger = replace(venue.inner._ledger, account=replace(venue.held, balances={}))
        venue._remember()
        observer = await Observer.on(venue, [PERP], None, venue.clock)
        with pytest.raises(StaleData, match="NAV"):
            await Rebalancer(desk.fund, venue, desk.journal, observer).plan()
        with pytest.raises(VenueRefused, match="unified_account: switch it"):
            await Rebalancer(desk.fund, venue, desk.journal, observer, (await _preflight(venue)).known).plan()


async def test_a_clean_account_is_looked_at_once_for_a_connection() -> None:
    async with told_venue() as venue:
        venue.reckoned = [SOUND]
        made = await _preflight(venue)
        assert await made.known() == await made.known() == Known()
        assert venue.asked == ["key", f"modes {PERP}"]


async def test_what_a_first_order_waits_for_is_asked_together() -> None:
    venue = told_venue(kind=SlowToTell)
    assert isinstance(venue, SlowToTell)
    venue.looked = asyncio.Event()
    async with venue:
        assert await (await _preflight(venue)).known() == Known()


async def test_an_equity_is_believed_to_differ_once_it_did_three_times() -> None:
    async with told_venue() as venue:
        venue.reckoned = [OTHER, OTHER, SOUND]
        assert await (await _preflight(venue)).known() == Known()
        venue.reckoned = [OTHER, OTHER, OTHER, SOUND]
        made = await _preflight(venue)
        assert venue.reckoned == [SOUND]
        # and is asked for again for as long as it does
        assert await made.known() == Known()


async def test_both_figures_are_in_the_refusal() -> None:
    async with told_venue() as venue:
        venue.reckoned = [OTHER]
        [refusal] = (await (await _preflight(venue)).known()).blocked
        assert refusal.code == "equity"
        assert "115,000.00 USDT by our reckoning, 90,000.00 USDT by the venue's" in refusal.message


async def test_what_can_t_be_read_is_not_held_against_an_account() -> None:
    async with told_venue() as venue:
        venue.failing["account"] = 10
        assert await (await _preflight(venue)).known() == Known()


async def test_a_venue_that_tells_nothing_is_not_asked() -> None:
    async with drifted() as venue:
        made = Preflight(fund(), venue, await Observer.on(venue, [PERP], None, venue.clock))
        before = list(venue.log)
        await made.look()
        assert (await made.known(), venue.log) == (Known(), before)


async def test_an_unsafe_account_is_not_traded_but_flattened(tmp_path: Path) -> None:
    venue = told_venue()
    venue.reckoned = [OTHER]
    async with desk_of(venue, tmp_path) as desk:
        observer = await Observer.on(venue, desk.fund.symbols, None, venue.clock)
        preflight = Preflight(desk.fund, venue, observer)
        await preflight.look()
        desk.rebalancer = Rebalancer(desk.fund, venue, desk.journal, observer, preflight.known)
        run = await desk.run()
        assert run.status is RunStatus.REFUSED
        assert "90,000.00 USDT by the venue's" in run.reason
        assert venue.sent == []
        flat = await desk.flatten()
        assert flat.status is RunStatus.COMPLETED
        assert venue.held.positions == {}
        # once the two agree again the next plan is not refused
        await desk.journal.set_state(desk.fund.name, (await desk.journal.standing("x")).state, reason="", at=venue.clock.now())
        venue.reckoned = [{"USDT": venue.held.balances["USDT"]}]
        sent = len(venue.sent)
        assert result_of(await desk.run())
        assert len(venue.sent) > sent


@pytest.mark.parametrize(
    ("leverage", "said"),
    [
        (D(3), "the target binds 100 % of NAV as margin (leverage setting: BTC/USDT:USDT 3x): raise the leverage setting"),
        (D("0.5"), "binds 600 % of NAV"),
        (D("3.01"), ""),
        (None, ""),
        (VenueUnavailable("no answer"), ""),
    ],
)
async def test_a_leverage_setting_that_can_t_back_the_target_binds_what_adds_risk(
    leverage: Decimal | Exception | None, said: str
) -> None:
    async with told_venue() as venue:
        venue.leverage = leverage
        made = await _preflight(venue)
        found = await made.known()
        assert [one.code for one in found.binding] == ["margin"] * bool(said)
        assert said in "".join(one.message for one in found.binding)
        assert found.blocked == ()
        # asked again until it is known, and does
        venue.leverage = D(10)
        assert await made.known() == Known()
        venue.asked.clear()
        await made.known()
        assert venue.asked == []


@pytest.mark.parametrize(("price", "status"), [("105", RunStatus.REFUSED), ("95", RunStatus.COMPLETED)])
async def test_a_target_that_can_t_be_backed_is_not_built_and_may_be_come_down_to(
    tmp_path: Path, price: str, status: RunStatus
) -> None:
    venue = told_venue(price=price)
    venue.leverage = D(2)
    async with desk_of(venue, tmp_path) as desk:
        observer = await Observer.on(venue, desk.fund.symbols, None, venue.clock)
        preflight = Preflight(desk.fund, venue, observer)
        desk.rebalancer = Rebalancer(desk.fund, venue, desk.journal, observer, preflight.known)
        run = await desk.run()
        assert run.status is status, run.reason
        assert ("binds 150 % of NAV" in run.reason) is (status is RunStatus.REFUSED)
        assert all(request.reduce_only for request in venue.sent)
        assert bool(venue.sent) is (status is RunStatus.COMPLETED)
        assert (await desk.flatten()).status is RunStatus.COMPLETED


CHANGES = (
    Change(setting=Setting.POSITION_MODE, before="hedge", after="one-way"),
    Change(setting=Setting.MARGIN_MODE, before="isolated", after="cross", market=PERP),
    Change(setting=Setting.LEVERAGE, before="3", after="6", market=PERP),
)


async def test_changes_are_sent_in_order_and_noted(tmp_path: Path) -> None:
    venue = told_venue(held=False)
    async with desk_of(venue, tmp_path) as desk:
        await make(venue, venue, desk.journal, "btc3l", CHANGES)
        assert venue.asked == ["one-way", f"cross {PERP}", f"6x {PERP}"]
        noted = await desk.journal.events(kind="setting.changed")
        assert [event.payload["setting"] for event in reversed(noted)] == ["position_mode", "margin_mode", "leverage"]
        assert await desk.journal.verify() == ()


async def test_nothing_is_set_while_something_is_held(tmp_path: Path) -> None:
    venue = told_venue()
    async with desk_of(venue, tmp_path) as desk:
        with pytest.raises(VenueRefused, match=PERP):
            await make(venue, venue, desk.journal, "btc3l", CHANGES)
        venue.failing["account"] = 1
        with pytest.raises(VenueUnavailable):
            await make(venue, venue, desk.journal, "btc3l", CHANGES)
        assert venue.asked == []
        assert await desk.journal.events(kind="setting.changed") == ()
