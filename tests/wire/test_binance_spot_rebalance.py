"""Whole rebalances of a spot portfolio through the real binance class: what the journal says is what the exchange holds."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.market import Side
from keeper.domain.run import Run, RunStatus
from tests.fakes.binance_server import API_KEY, SECRET, Fault, in_thread
from tests.fakes.binance_spot import BinanceSpot, spot_core
from tests.fakes.configurations import secret_files
from tests.fakes.spot_core import SpotCore
from tests.fakes.spot_desk import SpotDesk, spot_desk

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
SIXTY_FORTY = {BTC: "0.6", ETH: "0.4"}
OWN = ("BTC", "ETH", "USDT")
PRICES = {"BTC": D(50_000), "ETH": D(2_500), "USDT": D(1), "BNB": D(600)}
KEEPER = "from keeper.cli import main; main()"
CONFIG = Path(__file__).parents[2] / "config"


def worth(core: SpotCore, assets: tuple[str, ...] = OWN) -> Decimal:
    return sum((core.total(asset) * PRICES[asset] for asset in assets), D(0))


def weight(core: SpotCore, asset: str) -> Decimal:
    return core.total(asset) * PRICES[asset] / worth(core)


async def check_journal(desk: SpotDesk, run: Run) -> list[Side]:
    """Every trade of the exchange is a fill of the journal, and the other way round. Returns the sides in their order."""
    booked = {
        (fill.trade_id, fill.symbol.replace("/", ""), fill.side.sign, fill.amount, fill.price, fill.fee, fill.fee_asset)
        for _, fill in await desk.journal.fills(run.id)
    }
    real = {
        (str(trade.id), trade.symbol, trade.sign, trade.amount, trade.price, trade.fee, trade.fee_asset)
        for trade in desk.spot.core.trades
    }
    assert booked == real
    children = await desk.journal.children(run.id)
    assert {child.request.client_id for child in children} == {order.client_id for order in desk.spot.core.orders.values()}
    assert await desk.journal.verify() == ()
    return [child.request.side for child in children]


async def test_from_half_and_half_to_sixty_forty(tmp_path: Path) -> None:
    core = spot_core()
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN) as desk:
        plan, run = await desk.run()
        assert [(leg.symbol, leg.side) for leg in plan.legs] == [(ETH, Side.SELL), (BTC, Side.BUY)]
        assert all(abs(leg.leverage_after - leg.goal) < D("0.00001") for leg in plan.legs)
        assert run.status is RunStatus.COMPLETED, run.reason
        sides = await check_journal(desk, run)
        assert sides == sorted(sides, key=lambda side: side is Side.BUY)
        assert sides.count(Side.SELL) >= 6 <= sides.count(Side.BUY)
        # nothing is left that an order could still do
        again = await desk.rebalancer.plan()
        assert not again.legs
        assert not core.open_orders()
    for asset, lot, goal in (("BTC", D("0.00001"), D("0.6")), ("ETH", D("0.0001"), D("0.4"))):
        smallest = max(lot * PRICES[asset], D(5))
        assert abs(weight(core, asset) - goal) * worth(core) < smallest
    assert core.total("DOGE") == D("1234.5")
    assert {trade.symbol for trade in core.trades} == {"BTCUSDT", "ETHUSDT"}
    assert min(core.lowest.values()) >= 0
    assert run.result is not None
    assert D(str(run.result["nav_after"])) == worth(core).quantize(D("1e-8"))


async def test_a_fund_may_keep_part_of_its_worth_in_cash(tmp_path: Path) -> None:
    core = spot_core(wallet={"USDT": D(10_000), "DOGE": D(5)})
    async with spot_desk(tmp_path, core, {BTC: "0.5", ETH: "0.2"}, OWN) as desk:
        _, run = await desk.run()
        assert run.status is RunStatus.COMPLETED, run.reason
        await check_journal(desk, run)
    assert abs(weight(core, "BTC") - D("0.5")) * worth(core) < 5
    assert abs(weight(core, "ETH") - D("0.2")) * worth(core) < 5
    assert abs(core.total("USDT") / worth(core) - D("0.3")) * worth(core) < 10
    assert core.lowest["USDT"] > 2_900


async def test_all_of_the_cash_goes_into_two_coins_at_once_and_never_below_zero(tmp_path: Path) -> None:
    core = spot_core(wallet={"USDT": D(10_000)})
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN) as desk:
        _, run = await desk.run()
        assert run.status is RunStatus.COMPLETED, run.reason
        await check_journal(desk, run)
        assert not [child for child in await desk.journal.children(run.id) if child.reason]
    assert 0 <= core.lowest["USDT"] < 10
    assert abs(weight(core, "BTC") - D("0.6")) * worth(core) < 10


async def test_a_buy_that_no_cash_could_pay_for_is_paid_by_a_market_inside_its_band(tmp_path: Path) -> None:
    # ETH fell below its band, BTC is above its target but inside: alone, the purchase would have nothing to spend
    core = spot_core(wallet={"BTC": D("1.25"), "ETH": D(15)})
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN, deadband="0.05") as desk:
        plan, run = await desk.run()
        assert [(leg.symbol, leg.side) for leg in plan.legs] == [(BTC, Side.SELL), (ETH, Side.BUY)]
        assert run.status is RunStatus.COMPLETED, run.reason
        await check_journal(desk, run)
    assert abs(weight(core, "ETH") - D("0.4")) * worth(core) < 5


async def test_fees_in_a_coin_that_the_fund_owns_are_counted_and_that_coin_is_not_traded(tmp_path: Path) -> None:
    core = spot_core(fees_in="BNB")
    core.wallet["BNB"] = D(1)
    async with spot_desk(tmp_path, core, {BTC: "0.6", ETH: "0.39"}, (*OWN, "BNB"), kept=("BNB/USDT",)) as desk:
        _, run = await desk.run()
        assert run.status is RunStatus.COMPLETED, run.reason
        await check_journal(desk, run)
    assert {trade.symbol for trade in core.trades} == {"BTCUSDT", "ETHUSDT"}
    paid = D(1) - core.total("BNB")
    assert paid > 0
    whole = worth(core, (*OWN, "BNB"))
    assert abs(core.total("BTC") * 50_000 - whole * D("0.6")) < 5
    assert abs(core.total("ETH") * 2_500 - whole * D("0.39")) < 5
    assert run.result is not None
    assert run.result["unpriced_fees"] == {}
    assert D(str(run.result["fees"])) == (paid * 600).quantize(D("1e-8"))


async def test_fees_in_a_coin_that_is_not_the_fund_s_are_told_and_not_guessed(tmp_path: Path) -> None:
    core = spot_core(fees_in="BNB")
    core.wallet["BNB"] = D(1)
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN) as desk:
        _, run = await desk.run()
        assert run.status is RunStatus.COMPLETED, run.reason
    assert run.result is not None
    assert run.result["unpriced_fees"] == {"BNB": str((D(1) - core.total("BNB")).normalize())}


@pytest.mark.parametrize("kind", ["html", "drop_after", "503", "-1007", "half_json"])
async def test_an_unknown_outcome_ends_the_run_and_is_settled_by_the_client_id(tmp_path: Path, kind: str) -> None:
    core = spot_core()
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN) as desk:
        desk.spot.faults.append(Fault("order", kind, method="POST", times=1))
        _, run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert len(core.orders) == 1
        assert await desk.rebalancer.recover() == ()
        await check_journal(desk, run)
        _, second = await desk.run("manual:2")
        assert second.status is RunStatus.COMPLETED, second.reason
    assert abs(weight(core, "BTC") - D("0.6")) * worth(core) < 5


async def test_a_transfer_during_the_run_stops_it(tmp_path: Path) -> None:
    core = spot_core()
    async with spot_desk(tmp_path, core, SIXTY_FORTY, OWN) as desk:

        def withdraw(reply: object) -> object:
            core.wallet["BTC"] -= D("0.1")
            return reply

        desk.spot.faults.append(Fault("order", "alter", method="POST", times=1, alter=withdraw))
        _, run = await desk.run()
        assert run.status is RunStatus.INCOMPLETE
        assert "changed without our order" in run.reason
        assert len(core.orders) == 1


def test_the_example_in_config_rebalances_from_the_command_line(tmp_path: Path) -> None:
    for name, text in (("spot_api_key", API_KEY), ("spot_secret", SECRET)):
        path = secret_files(tmp_path) / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    (tmp_path / "keeper.toml").write_bytes((CONFIG / "spot.toml").read_bytes())
    core = spot_core()
    with in_thread(BinanceSpot(core=core)) as spot:
        env = {
            **os.environ,
            "KEEPER__VENUES__SPOT__HOSTS": json.dumps(spot.hosts),
            "KEEPER__FUNDS__SIXTY_FORTY__EXECUTION": '{ style = "urgent", horizon = "4s", max_depth = 1 }',
        }
        command = [sys.executable, "-c", KEEPER, "--config", str(tmp_path / "keeper.toml"), "rebalance", "--yes", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)  # noqa: S603 - our own words
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "completed"), done.stderr
    assert {fill["trade_id"] for fill in document["fills"]} == {str(trade.id) for trade in core.trades}
    assert abs(weight(core, "BTC") - D("0.6")) * worth(core) < 5
    assert core.total("DOGE") == D("1234.5")
