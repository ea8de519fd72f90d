"""The products of the field as mandates: each goes back where its issuer says, at the figures that its issuer names."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from keeper.domain.run import RunStatus
from keeper.planning.plan import EMERGENCY, INTRADAY
from keeper.policy.intraday import Direction, Intraday
from keeper.settings import load
from tests.fakes.products import PRODUCTS, kept_product

D = Decimal
NEAR = D("0.01")
# file, fund, move of the price; then where leverage is afterwards, None where nothing is done
MOVES = [
    ("ftx", "bull", "-0.111", None),
    ("ftx", "bull", "-0.1113", "3"),
    ("ftx", "bull", "0.5", None),
    ("ftx", "bear", "0.066", None),
    ("ftx", "bear", "0.0668", "-3"),
    ("ftx", "bear", "-0.5", None),
    ("binance_blvt", "up", "-0.199", None),
    ("binance_blvt", "up", "-0.201", "2.5"),
    ("binance_blvt", "up", "1.99", None),
    ("binance_blvt", "up", "2.01", "2.5"),
    ("binance_blvt", "down", "0.119", None),
    ("binance_blvt", "down", "0.121", "-2.5"),
    ("binance_blvt", "down", "-0.223", "-2.5"),
    ("gate", "btc3l", "-0.119", None),
    ("gate", "btc3l", "-0.1201", "3"),
    ("gate", "btc3l", "0.199", None),
    ("gate", "btc3l", "0.201", "3"),
    ("gate", "btc3s", "0.119", None),
    ("gate", "btc3s", "0.1201", "-3"),
    ("gate", "btc3s", "-0.201", "-3"),
    ("gate", "btc5l", "-0.066", None),
    ("gate", "btc5l", "-0.0667", "5"),
    ("gate", "btc5l", "0.121", "5"),
    ("kucoin_mexc_amun", "kucoin3l", "-0.149", None),
    ("kucoin_mexc_amun", "kucoin3l", "-0.15", "3"),
    ("kucoin_mexc_amun", "kucoin3l", "0.3", None),
    ("kucoin_mexc_amun", "mexc3s", "0.15", "-3"),
    ("kucoin_mexc_amun", "amun3s", "-0.15", None),
    ("bybit_lt", "btc3l", "-0.111", None),
    ("bybit_lt", "btc3l", "-0.1113", "3"),
    ("bybit_lt", "btc3l", "0.33", None),
    ("bybit_lt", "btc3l", "0.34", "3"),
    ("bybit_lt", "btc3s", "0.0668", "-3"),
    ("bybit_lt", "btc3s", "-0.112", "-3"),
    ("pionex", "btc5l", "-0.059", None),
    ("pionex", "btc5l", "-0.06", "5"),
    ("pionex", "btc5l", "0.1", None),
    ("pionex", "btc5s", "0.06", "-5"),
    ("index_coop_fli", "eth2x", "-0.115", None),
    ("index_coop_fli", "eth2x", "-0.13", "2.3"),
    ("index_coop_fli", "eth2x", "-0.207", "2.3"),
    ("index_coop_fli", "eth2x", "0.22", "1.7097"),
]


@pytest.mark.parametrize(("file", "fund", "move", "then"), MOVES)
async def test_a_move_leads_where_the_product_says(file: str, fund: str, move: str, then: str | None) -> None:
    async with kept_product(file, fund) as product:
        await product.moved(move, minutes=45)
        runs = await product.between()
        if then is None:
            assert runs == []
            return
        assert [run.status for run in runs] == [RunStatus.COMPLETED]
        assert abs(product.worth.net_leverage - D(then)) < NEAR
        assert runs[0].plan["asked"], "it says why"


# file, fund, what calls for its run: both are a part of what the product does when its price goes against it
KINDS = [("ftx", "bull", "-0.12", EMERGENCY), ("kucoin_mexc_amun", "mexc3l", "-0.15", INTRADAY)]


@pytest.mark.parametrize(("file", "fund", "move", "kind"), KINDS)
async def test_what_only_reduces_is_not_put_on_again_before_the_clock_says_so(file: str, fund: str, move: str, kind: str) -> None:
    async with kept_product(file, fund) as product:
        await product.moved(move, minutes=45)
        [run] = await product.between()
        assert run.key.trigger.startswith(kind)
        reduced = product.levers[-1]
        await product.moved("0.1", hours=10)
        assert product.levers[-1] == reduced
        await product.moved("0.1", hours=13)
        assert product.levers[-1] > reduced


CLOCKS = [
    ("ftx", "bull", ["00:02"], "UTC"),
    ("gate", "btc3l", ["16:00"], "UTC"),
    ("kucoin_mexc_amun", "kucoin3l", ["23:30"], "UTC"),
    ("kucoin_mexc_amun", "mexc3l", ["16:00"], "UTC"),
    ("kucoin_mexc_amun", "amun3l", ["17:00"], "CET"),
    ("pionex", "btc5l", ["23:00"], "UTC"),
    ("index_coop_fli", "eth2x", ["00:00"], "UTC"),
]


@pytest.mark.parametrize(("file", "fund", "at", "zone"), CLOCKS)
def test_its_clock_is_that_of_the_product(file: str, fund: str, at: list[str], zone: str) -> None:
    schedule = load(PRODUCTS / f"{file}.toml", {}).funds[fund].schedule_value()
    assert schedule is not None
    assert ([f"{each:%H:%M}" for each in schedule.at], str(schedule.zone)) == (at, zone)


@pytest.mark.parametrize(("file", "fund"), [("binance_blvt", "up"), ("binance_blvt", "down"), ("bybit_lt", "btc3l")])
async def test_a_product_without_a_clock_has_no_slot(file: str, fund: str) -> None:
    assert load(PRODUCTS / f"{file}.toml", {}).funds[fund].schedule is None
    async with kept_product(file, fund) as product:
        await product.moved("0.02", hours=30)
        assert [run.key.trigger for run in await product.desk.runs()] == ["manual:c1"]
        assert product.desk.venue.sent == []


async def test_pionex_leaves_alone_what_is_within_its_band_at_the_slot() -> None:
    async with kept_product("pionex", "btc5l") as product:
        await product.moved("-0.002", hours=23)
        assert D("4.95") < product.worth.net_leverage < D("5.05")
        assert product.desk.venue.sent == []
        await product.moved("-0.004", hours=24)
        assert abs(product.worth.net_leverage - 5) < NEAR


@pytest.mark.parametrize(("move", "leverage"), [("0.1", "1.841667"), ("-0.1", "2.2375")])
async def test_fli_takes_its_step_at_its_slot(move: str, leverage: str) -> None:
    async with kept_product("index_coop_fli", "eth2x") as product:
        await product.moved(move, hours=23, minutes=30)
        assert abs(product.worth.net_leverage - D(leverage)) < D("0.0005")
        [*_, run] = await product.desk.runs()
        chunks = await product.desk.journal.children(run.id)
        assert len(chunks) == 4
        apart = {later.at - sooner.at for sooner, later in pairwise(chunks)}
        assert min(apart) >= timedelta(minutes=4)


async def test_a_run_between_slots_rests_before_the_next() -> None:
    async with kept_product("index_coop_fli", "eth2x") as product:
        await product.moved("-0.13", minutes=45)
        await product.moved("-0.16", minutes=15)
        assert len(await product.between()) == 1
        await product.moved("-0.16", minutes=60)
        first, second = await product.between()
        assert first.ended_at is not None
        assert second.started_at - first.ended_at >= timedelta(hours=1)


@pytest.mark.parametrize(("direction", "kept"), [(Direction.REDUCE, 100_000), (Direction.BOTH, 40_000)])
async def test_to_lever_up_between_slots_costs_a_short_most_of_what_it_has(direction: Direction, kept: int) -> None:
    rule = Intraday(move=D("0.2"), direction=direction)
    async with kept_product("kucoin_mexc_amun", "mexc3s", lambda fund: replace(fund, intraday=rule)) as product:
        await product.moved("-0.2", minutes=45)
        assert round(product.worth.nav, -3) == 160_000
        await product.moved("0", minutes=10)
        assert round(product.worth.nav, -3) == kept


async def test_an_emergency_of_a_price_that_comes_back_costs_what_it_is_known_to_cost() -> None:
    async with kept_product("ftx", "bull") as product:
        await product.moved("-0.1112", minutes=10)
        await product.moved("0", minutes=10)
        assert abs(product.worth.nav - 91_670) < 100
