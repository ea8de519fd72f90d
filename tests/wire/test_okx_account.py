"""What the real okx class reads of an account: balances, positions, modes, keys; and whom it turns away at the door."""

import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.account import Position, value
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.ports import Environment
from keeper.venues.ccxt_venue import CcxtVenue, ExaminedVenue
from keeper.venues.connection import Question
from keeper.venues.speech.base import Wire
from keeper.venues.speech.okx import Okx
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, CREDENTIALS, ETH, ShiftedClock, info, venue_at
from tests.fakes.okx import OkxServer, okx_core, okx_spot_core

D = Decimal
SWAP, ETH_SWAP, COIN = "BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USD-SWAP"
INVERSE = "BTC/USD:BTC"
WORDS = Okx()


def wire(venue: CcxtVenue) -> Wire:
    """What a Speech may use of a venue's connection."""
    return venue._wire(Question(what="test"))


async def test_an_account_is_cash_without_open_profit_signed_contracts_and_the_venue_s_own_equity() -> None:
    core = okx_core()
    core.hold(SWAP, D(300), D(48_000))
    core.hold(ETH_SWAP, D("-250.5"), D("2400.125"))
    core.hold(COIN, D(-200), D(40_000))
    core.liquidations[SWAP] = D("21345.5")
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        account = await venue.account()
        markets = await venue.markets([BTC, ETH, INVERSE])
    assert account.balances == {"USDT": D(100_000), "BTC": D(2)}
    assert account.positions == {
        BTC: Position(symbol=BTC, contracts=D(300), entry=D(48_000), mark=D(50_000), liquidation=D("21345.5"), worth=D(150_000)),
        ETH: Position(symbol=ETH, contracts=D("-250.5"), entry=D("2400.125"), mark=D(2_500), worth=D(62_625)),
        INVERSE: Position(symbol=INVERSE, contracts=D(-200), entry=D(40_000), mark=D(50_000), worth=D(20_000)),
    }
    assert account.equities == {"USDT": core.equity("USDT"), "BTC": core.equity("BTC")}
    # what Keeper reckons from balances and positions is what the venue says
    for asset, equity in account.equities.items():
        profits = [
            markets[one.symbol].profit(one.contracts, one.entry, one.mark)
            for one in account.positions.values()
            if markets[one.symbol].settle == asset
        ]
        assert abs(account.balances[asset] + sum(profits) - equity) < D("1e-9")


async def test_margin_of_an_isolated_position_is_part_of_the_balance() -> None:
    core = okx_core(wallet={"USDT": D(100_000)})
    core.hold(SWAP, D(300), D(48_000))
    core.isolated.add(SWAP)
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        account = await venue.account()
    assert account.balances == {"USDT": D(100_000)}
    assert account.equities == {"USDT": D(100_000) + 3 * D(2_000)}
    assert account.positions[BTC].contracts == D(300)


async def test_what_bots_hold_is_not_the_fund_s() -> None:
    async with OkxServer(core=okx_core(), bots={"USDT": D(150)}) as server, venue_at(server) as venue:
        account = await venue.account()
    assert account.balances == account.equities == {"USDT": D(100_000), "BTC": D(2)}


async def test_what_is_borrowed_is_negative() -> None:
    core = okx_core(wallet={"USDT": D("-250.5"), "BTC": D(2)}, usd={"USDT": D(1), "BTC": D(50_000)})
    async with OkxServer(core=core, level="3") as server, venue_at(server) as venue:
        account = await venue.account()
    assert account.balances == {"USDT": D("-250.5"), "BTC": D(2)}


async def test_free_margin_is_in_dollars_pooled_or_added_up() -> None:
    core = okx_core()
    core.hold(SWAP, D(300), D(50_000))
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        assert (await venue.account()).free_margin == core.available("USDT") + core.available("BTC") * 50_000
    core.usd = {"USDT": D(1), "BTC": D(50_000)}
    async with OkxServer(core=core, level="3") as server, venue_at(server) as venue:
        assert (await venue.account()).free_margin == core.available("USDT")


async def test_an_account_that_is_told_no_pooled_margin_has_the_sum_of_its_assets() -> None:
    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {name: told for name, told in row.items() if name != "availEq"}

    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("balance", "alter", alter=_rows(without)))
        assert (await venue.account()).free_margin == D(200_000)


async def test_a_spot_account_has_balances_and_blanks_elsewhere() -> None:
    async with OkxServer(core=okx_spot_core(), level="1") as server, venue_at(server) as venue:
        account = await venue.account()
    assert account.balances == account.equities == {"BTC": D(1), "ETH": D(20)}
    assert (account.free_margin, account.positions) == (None, {})


async def test_nav_of_a_coin_margined_fund_counts_the_coin_and_its_profit() -> None:
    core = okx_core(wallet={"BTC": D(2)})
    core.hold(COIN, D(500), D(40_000))
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        account, markets = await venue.account(), await venue.markets([INVERSE])
    worth = value(account, markets.values(), {INVERSE: D(50_000)}, "USD")
    assert abs(worth.nav - core.equity_usd({"BTC": D(50_000)})) < D("1e-6")
    assert abs(worth.exposures[INVERSE] - (50_000 + worth.nav)) < D("1e-6")


async def test_a_position_that_was_closed_is_none() -> None:
    core = okx_core()
    core.hold(SWAP, D(300), D(48_000))
    core.isolated.add(SWAP)
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        server.faults.append(Fault("positions", "alter", alter=_set(pos="0", avgPx="", posSide="net")))
        assert (await venue.account()).positions == {}


Change = Callable[[dict[str, Any]], dict[str, Any]]


def _rows(change: Change) -> Callable[[Any], Any]:
    return lambda reply: reply | {"data": [change(row) for row in reply["data"]]}


def _set(**fields: Any) -> Callable[[Any], Any]:
    return _rows(lambda row: row | fields)


UNREADABLE = [
    ("a position of both margin modes", lambda reply: reply | {"data": reply["data"] * 2}, "margin_modes", "held twice"),
    ("margin on spot", _set(instType="MARGIN", instId="BTC-USDT"), "position_kind", "BTC-USDT on margin"),
    ("an option", _set(instType="OPTION"), "position_kind", "option"),
    ("long and short apart", _set(posSide="long"), "hedge_mode", "one-way"),
]


@pytest.mark.parametrize(("alter", "code", "words"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
async def test_a_position_that_can_t_be_traded_beside_is_refused_in_words(
    alter: Callable[[Any], Any], code: str, words: str
) -> None:
    core = okx_core()
    core.hold(SWAP, D(300), D(48_000))
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        server.faults.append(Fault("positions", "alter", alter=alter))
        with pytest.raises(VenueRefused, match=words) as refusal:
            await venue.account()
    assert refusal.value.code == code


GARBAGE: list[Any] = ["", None, "NaN", "abc", [], True]


@pytest.mark.parametrize("field", ["pos", "avgPx", "markPx", "posSide", "mgnMode", "instType"])
@pytest.mark.parametrize("raw", GARBAGE, ids=repr)
async def test_garbage_in_a_position_is_never_believed(field: str, raw: Any) -> None:
    core = okx_core()
    core.hold(SWAP, D(300), D(48_000))
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        server.faults.append(Fault("positions", "alter", alter=_set(**{field: raw})))
        with pytest.raises(StaleData):
            await venue.account()


def _details(**fields: Any) -> Callable[[Any], Any]:
    return _rows(lambda row: row | {"details": [one | fields for one in row["details"]]})


@pytest.mark.parametrize("field", ["cashBal", "eq", "isoEq", "isoUpl", "stgyEq", "availEq"])
@pytest.mark.parametrize("raw", [None, "NaN", "abc", [], True], ids=repr)
async def test_garbage_in_a_balance_is_never_believed(field: str, raw: Any) -> None:
    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("balance", "alter", alter=_details(**{field: raw})))
        with pytest.raises(StaleData):
            await venue.account()


async def test_one_asset_is_told_once() -> None:
    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("balance", "alter", alter=_details(ccy="USDT")))
        with pytest.raises(StaleData, match="two balances of USDT"):
            await venue.account()


@pytest.mark.parametrize("missing", ["isoEq", "isoUpl"])
async def test_half_of_what_is_said_of_isolated_margin_is_not_believed(missing: str) -> None:
    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("balance", "alter", alter=_details(**{missing: ""})))
        with pytest.raises(StaleData, match="isoEq and isoUpl"):
            await venue.account()


AT_THE_DOOR: list[tuple[str, dict[str, Any], str, str]] = [
    ("wrong key", {"api_key": "another"}, "50119", "does not exist"),
    ("wrong secret", {"secret": "another"}, "50113", "secret belongs to the API key"),
    ("wrong passphrase", {"passphrase": "another"}, "50105", "chosen when the API key was made"),
    ("live keys on the demo", {"demo": False}, "50101", "demo trading goes with testnet"),
    ("a key that may only read", {"permissions": "read_only"}, "no_trade", "permission to trade"),
]


@pytest.mark.parametrize(("changes", "code", "words"), [row[1:] for row in AT_THE_DOOR], ids=[row[0] for row in AT_THE_DOOR])
async def test_the_door_says_which_of_the_keys_is_wrong(changes: dict[str, Any], code: str, words: str) -> None:
    async with OkxServer(core=okx_core(), **changes) as server:
        with pytest.raises(VenueRefused, match=words) as refusal:
            async with venue_at(server):
                pass
        assert refusal.value.code == code
        assert not server.seen("trade/order")


async def test_demo_keys_are_refused_on_live_and_live_keys_work_there() -> None:
    async with OkxServer(core=okx_core(), demo=True) as server:
        with pytest.raises(VenueRefused, match="other environment"):
            async with venue_at(server, Environment.LIVE):
                pass
    async with OkxServer(core=okx_core(), demo=False) as server, venue_at(server, Environment.LIVE) as venue:
        await venue.account()


CODES = [("50110", "list of addresses"), ("50100", "frozen"), ("50111", "expired"), ("50121", "this machine's address")]


@pytest.mark.parametrize(("code", "words"), CODES)
async def test_other_codes_at_the_door_have_their_own_words(code: str, words: str) -> None:
    said = {"code": code, "data": [], "msg": "No."}
    async with OkxServer(core=okx_core()) as server:
        server.faults.append(Fault("config", "alter", alter=lambda _reply: said))
        with pytest.raises(VenueRefused, match=words):
            async with venue_at(server):
                pass


async def test_an_account_mode_that_is_new_is_not_guessed_at() -> None:
    async with OkxServer(core=okx_core(), level="5") as server:
        with pytest.raises(StaleData, match="acctLv is '5'"):
            async with venue_at(server):
                pass


@pytest.mark.parametrize(("level", "symbol", "goes"), [("1", BTC, False), ("2", BTC, True), ("3", BTC, True)])
async def test_a_market_that_the_account_s_mode_has_not_is_refused_before_anything_is_planned(
    level: str, symbol: str, *, goes: bool
) -> None:
    async with OkxServer(core=okx_core(), level=level) as server, venue_at(server) as venue:
        if goes:
            assert symbol in await venue.markets([symbol])
            return
        with pytest.raises(VenueRefused, match="spot mode, which has no perpetuals"):
            await venue.markets([symbol])


@pytest.mark.parametrize("hedged", [False, True])
async def test_a_mode_that_a_market_is_not_in_is_told_of_an_account_that_is_only_looked_at(*, hedged: bool) -> None:
    async with OkxServer(core=okx_core(), level="3") as server:
        server.core.hedged = hedged
        told = ExaminedVenue(info(exchange="okx"), credentials=CREDENTIALS, hosts=server.hosts, clock=ShiftedClock())
        async with told as venue:
            assert await venue.account_mode(BTC) == ""  # nobody asked yet
            with contextlib.suppress(VenueRefused):
                await venue.admit()
            assert BTC in await venue.markets([BTC])
            assert await venue.account_mode(BTC) == "multi-currency margin mode"
            server.level = "1"
            await venue.admit()
            with pytest.raises(VenueRefused, match="switch it to futures mode"):
                await venue.account_mode(BTC)
            assert BTC in await venue.markets([BTC])


async def test_connecting_asks_for_public_data_and_the_configuration_and_nothing_else() -> None:
    """Ccxt would ask for the wallet's currencies as well, dated futures and options."""
    async with OkxServer(core=okx_core(), demo=False) as server, venue_at(server, Environment.LIVE):
        asked = [(one.path.removeprefix("/api/v5/"), one.parameters.get("instType")) for one in server.requests]
    private = [("account/config", None)]
    assert sorted(asked, key=str) == sorted(
        [("public/time", None)] * 2 + [("public/instruments", "SPOT"), ("public/instruments", "SWAP"), *private], key=str
    )


async def test_the_key_says_what_it_may_do_and_from_where() -> None:
    async with OkxServer(core=okx_core(), permissions="read_only,withdraw,trade", addresses="203.0.113.7") as server:
        async with venue_at(server) as venue:
            assert await WORDS.key(wire(venue)) == KeyFacts(may_trade=True, may_withdraw=True, ip_bound=True)
        server.permissions, server.addresses = "read_only,trade", ""
        async with venue_at(server) as venue:
            assert await WORDS.key(wire(venue)) == KeyFacts(may_trade=True, may_withdraw=False, ip_bound=False)


async def test_modes_are_those_of_keeper_s_orders_in_a_market() -> None:
    core = okx_core()
    core.hold(ETH_SWAP, D(5), D(2_500))
    core.isolated.add(ETH_SWAP)
    core.set_leverage(SWAP, 7)
    async with OkxServer(core=core) as server, venue_at(server) as venue:
        assert await WORDS.modes(wire(venue), BTC) == Modes(hedged=False, margin=MarginMode.CROSS, leverage=D(7))
        assert await WORDS.modes(wire(venue), ETH) == Modes(hedged=False, margin=MarginMode.ISOLATED, leverage=D(20))
        assert [one.parameters["mgnMode"] for one in server.seen("leverage-info")] == ["cross", "isolated"]
        core.hedged = True
        core.holdings.clear()
        assert (await WORDS.modes(wire(venue), BTC)).hedged is True
    async with OkxServer(core=okx_spot_core(), level="1") as server, venue_at(server) as venue:
        server.core.hedged = True  # which spot mode knows nothing of
        assert await WORDS.modes(wire(venue), "BTC/USDT") == Modes(hedged=False)


async def test_fees_are_positive_where_the_account_pays_and_brackets_in_quote() -> None:
    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        for symbol in (BTC, INVERSE):
            assert await WORDS.fees(wire(venue), symbol) == FeeRates(taker=D("0.0005"), maker=D("0.0002"))
        linear, inverse = await WORDS.brackets(wire(venue), BTC), await WORDS.brackets(wire(venue), INVERSE)
    assert linear == (
        Bracket(up_to=D(250_000), max_leverage=D(125), maintenance=D("0.004")),
        Bracket(up_to=D(1_000_000), max_leverage=D(100), maintenance=D("0.005")),
    )
    assert [step.up_to for step in inverse] == [D(50_000), D(200_000)]
    async with OkxServer(core=okx_spot_core(), level="1") as server, venue_at(server) as venue:
        assert await WORDS.fees(wire(venue), "BTC/USDT") == FeeRates(taker=D("0.001"), maker=D("0.0002"))
        assert await WORDS.brackets(wire(venue), "BTC/USDT") == ()


async def test_fees_that_the_venue_leaves_blank_are_not_known() -> None:
    async with OkxServer(core=okx_core()) as server, venue_at(server) as venue:
        server.faults.append(Fault("trade-fee", "alter", alter=_set(takerU="")))
        assert await WORDS.fees(wire(venue), BTC) is None
