"""`keeper doctor` over the wire: each fault has its own line, exit code and remedy, and neither it nor a start sends an order."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.journal.database import directory_of
from keeper.journal.lock import AccountLock
from keeper.journal.store import Mode, SqlJournal
from keeper.settings import load
from keeper.settings.secrets import account_fingerprint
from tests.fakes.ailments import AILMENTS, OKX, SPOT, USDM, Ailment, Patient, written_patient
from tests.fakes.binance_server import BinanceServer
from tests.fakes.binance_usdm import BinanceUsdm
from tests.fakes.command_line import CommandLine, Ended
from tests.fakes.exchange_core import MarginMode
from tests.fakes.loopback_server import API_KEY, SECRET, in_thread

PERP = "BTC/USDT:USDT"
KEYS = {"fund", "venue", "environment", "at", "verdict", "findings", "changes"}
LINE = {"check", "market", "verdict", "found", "remedy"}


@pytest.fixture
def usdm() -> Iterator[BinanceUsdm]:
    """The exchange with nothing held on it."""
    server = USDM.server()
    server.core.holdings.clear()
    with in_thread(server) as running:
        yield running


def writes(server: BinanceServer) -> list[tuple[str, str]]:
    """Every request that could change something."""
    return [(one.method, one.path.rpartition("/")[2]) for one in server.requests if one.method != "GET"]


def lines(ended: Ended) -> list[dict[str, Any]]:
    """The findings about the one fund."""
    [fund] = ended.document["funds"]
    found: list[dict[str, Any]] = fund["findings"]
    return found


def line(ended: Ended, check: str) -> dict[str, Any]:
    [found] = [one for one in lines(ended) if one["check"] == check]
    return found


def verdicts(ended: Ended) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in lines(ended)}


@pytest.mark.parametrize("ailment", AILMENTS, ids=str)
def test_each_fault_has_its_own_line_and_nobody_sends_an_order(
    tmp_path: Path, keeper_here: CommandLine, ailment: Ailment
) -> None:
    with in_thread(ailment.patient.server()) as server:
        written_patient(tmp_path, ailment.patient, server, ailment.environment, ailment.replaced)
        ailment.spoil(server)
        examined = keeper_here("doctor", "fund", "--json")
        first = next(one for one in lines(examined) if one["verdict"] == "fail")
        assert (first["check"], examined.code) == (ailment.check, ailment.code)
        assert ailment.words in first["found"] + first["remedy"]
        assert first["remedy"]
        if ailment.check == "keys":  # an exchange locks out whoever tries too often
            assert len([one for one in server.requests if (one.method, one.path) in server.skin.private]) <= 2
        started = keeper_here("rebalance", "--yes")
        assert started.code == ailment.start, started.err
        assert ailment.refused in " ".join((started.out + started.err).split())
        assert writes(server) == []
        assert not server.core.orders


def test_no_two_faults_of_a_kind_are_told_in_the_same_words() -> None:
    for patient in (USDM, SPOT, OKX):
        # OKX says only that a key is of the other environment
        told = [(one.check, one.words, one.environment if patient is OKX else "") for one in AILMENTS if one.patient is patient]
        assert len(told) == len(set(told))


@pytest.mark.parametrize("patient", [USDM, SPOT, OKX], ids=lambda one: one.exchange)
@pytest.mark.parametrize("environment", ["live", "testnet"])
def test_a_sound_account_fails_nothing_and_is_told_in_one_document(
    tmp_path: Path, keeper_here: CommandLine, patient: Patient, environment: str
) -> None:
    with in_thread(patient.server()) as server:
        written_patient(tmp_path, patient, server, environment)
        ended = keeper_here("doctor", "--json")
    assert ended.code == 0, ended.out
    [fund] = ended.document["funds"]
    assert set(fund) == KEYS
    assert all(set(one) == LINE for one in fund["findings"])
    assert (fund["fund"], fund["venue"], fund["environment"], fund["changes"]) == ("fund", "venue", environment, [])
    assert datetime.fromisoformat(fund["at"]).tzinfo == UTC
    told = verdicts(ended)
    assert "fail" not in told.values()
    assert told["environment"] == fund["verdict"] == "warn"  # servers of this machine stand for the exchange's
    assert ("margin" in told, "margin_mode" in told, "equity" in told) == (True, patient is not SPOT, patient is not SPOT)
    assert API_KEY not in ended.out + ended.err
    assert SECRET not in ended.out + ended.err
    assert writes(server) == []


def test_a_table_is_printed_without_json_and_says_what_to_do(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        written_patient(tmp_path, USDM, server, "live")
        server.restrictions["enableWithdrawals"] = True
        ended = keeper_here("doctor")
    assert ended.code == 78
    words = " ".join(ended.out.split())
    assert "fail withdrawals the key may withdraw -> take that right from it" in words
    assert "1 of " in words
    assert "checks fail" in words


def test_every_fund_is_looked_at_where_none_is_named(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        file = written_patient(tmp_path, USDM, server, "testnet")
        paper = """
[venues.sim]
exchange = "paper"
feed = { kind = "synthetic", seed = 7, prices = { "BTC/USDT:USDT" = "52500" } }
account = { balances = { USDT = "100000" } }

[funds.dry]
venue = "sim"
target = { "BTC/USDT:USDT" = 3.0 }
"""
        file.write_text(file.read_text() + paper)
        ended = keeper_here("doctor", "--json")
    assert ended.code == 0, ended.out
    dry, fund = ended.document["funds"]
    assert (dry["fund"], fund["fund"]) == ("dry", "fund")
    assert [one["check"] for one in dry["findings"]] == [
        *("reach", "market", "order_size", "lot", "account", "resident_guard", "journal", "disk", "lock", "schedule"),
    ]
    assert not (tmp_path / "var").exists()


def _account(folder: Path) -> tuple[str, str]:
    """The journal's address and the account's fingerprint."""
    settings = load(folder / "keeper.toml", {})
    return settings.journal_url, account_fingerprint("venue", settings.venues["venue"])


def test_a_contract_that_changed_since_it_was_pinned_is_told_and_halts_a_run(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        written_patient(tmp_path, USDM, server, "testnet")
        assert keeper_here("rebalance", "--yes", "--json").code == 0
        assert verdicts(keeper_here("doctor", "--json"))["contract"] == "ok"
        url, account = _account(tmp_path)

        async def repin() -> None:
            journal = SqlJournal.open(url, mode=Mode.WRITER)
            [(symbol, pinned)] = (await journal.pins(account)).items()
            await journal.repin(account, symbol, {**pinned, "contract_size": "10"}, at=datetime.now(UTC))  # noqa: TID251
            await journal.close()

        asyncio.run(repin())
        ended = keeper_here("doctor", "--json")
        assert ended.code == 3
        assert "contract_size was 10 and is 1" in line(ended, "contract")["found"]
        server.core.set_mid("BTCUSDT", Decimal(60_000))
        sent = len(writes(server))
        assert keeper_here("rebalance", "--yes", "--json").code in (3, 4)
        assert len(writes(server)) == sent


def test_what_is_near_its_end_is_warned_of(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        written_patient(tmp_path, USDM, server, "live")
        soon = int((datetime.now(UTC) + timedelta(days=5)).timestamp() * 1000)  # noqa: TID251
        server.core.instruments["BTCUSDT"].leaves = soon
        server.restrictions["tradingAuthorityExpirationTime"] = soon
        server.core.liquidations["BTCUSDT"] = Decimal(49_000)
        ended = keeper_here("doctor", "--json")
    assert ended.code == 0, ended.out
    told = verdicts(ended)
    assert (told["market"], told["expiry"], told["liquidation"]) == ("warn", "warn", "warn")


def test_an_account_that_another_process_keeps_is_looked_at_and_not_changed(
    tmp_path: Path, keeper_here: CommandLine, usdm: BinanceUsdm
) -> None:
    written_patient(tmp_path, USDM, usdm, "testnet")
    usdm.core.set_leverage("BTCUSDT", 3)
    url, account = _account(tmp_path)
    with AccountLock(directory_of(url), account):
        ended = keeper_here("doctor", "--json")
        assert line(ended, "lock")["found"] == "a process keeps the account"
        assert keeper_here("doctor", "--fix", "--yes").code == 75
    assert writes(usdm) == []


def test_fix_sets_what_does_not_suit_and_records_it(tmp_path: Path, keeper_here: CommandLine, usdm: BinanceUsdm) -> None:
    written_patient(tmp_path, USDM, usdm, "testnet")
    usdm.core.hedged = True
    usdm.core.isolated.add("BTCUSDT")
    usdm.core.set_leverage("BTCUSDT", 3)
    before = keeper_here("doctor", "--json")
    assert before.code == 78
    [fund] = before.document["funds"]
    wanted = [(one["setting"], one["before"], one["after"]) for one in fund["changes"]]
    assert wanted == [("position_mode", "hedge", "one-way"), ("margin_mode", "isolated", "cross"), ("leverage", "3", "6")]
    assert not any(one["made"] for one in fund["changes"])
    assert writes(usdm) == []

    fixed = keeper_here("doctor", "--fix", "--yes", "--json")
    assert fixed.code == 0, fixed.err
    [fund] = fixed.document["funds"]
    assert [(one["setting"], one["made"]) for one in fund["changes"]] == [(name, True) for name, _, _ in wanted]
    assert writes(usdm) == [("POST", "dual"), ("POST", "marginType"), ("POST", "leverage")]
    core = usdm.core
    assert (core.hedged, core.margin_mode("BTCUSDT"), core.instruments["BTCUSDT"].leverage) == (False, MarginMode.CROSS, 6)
    assert keeper_here("db", "verify").code == 0

    again = keeper_here("doctor", "--fix", "--yes", "--json")
    assert again.code == 0
    assert again.document["funds"][0]["changes"] == []
    assert len(writes(usdm)) == 3


def test_fix_changes_nothing_while_a_position_or_an_order_is_open(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        written_patient(tmp_path, USDM, server, "testnet")
        server.core.set_leverage("BTCUSDT", 3)
        held = keeper_here("doctor", "--fix", "--yes")
        assert held.code == 3
        assert PERP in held.said[-1]
        server.core.holdings.clear()
        order = server.core.rest("by-hand", "BTCUSDT", 1, Decimal("0.1"), Decimal(40_000))
        resting = keeper_here("doctor", "--fix", "--yes")
        assert resting.code == 3
        assert f"order {order.id}" in resting.said[-1]
        assert writes(server) == []


def test_fix_needs_a_yes_where_there_is_no_terminal(
    tmp_path: Path, keeper_here: CommandLine, usdm: BinanceUsdm, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_patient(tmp_path, USDM, usdm, "testnet")
    usdm.core.set_leverage("BTCUSDT", 3)
    ended = keeper_here("doctor", "--fix")
    assert ended.code == 64
    assert "--yes" in ended.said[0]
    assert usdm.requests == []
    # a human who says no
    monkeypatch.setattr("keeper.cli.doctoring.must_have_terminal", lambda *_args, **_yes: None)
    monkeypatch.setattr("keeper.cli.doctoring.agreed", lambda *_args, **_yes: False)
    assert keeper_here("doctor", "--fix").code == 1
    assert writes(usdm) == []


def test_where_keeper_can_t_set_it_a_human_is_told_where(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(OKX.server()) as server:
        server.core.holdings.clear()
        written_patient(tmp_path, OKX, server, "testnet")
        server.core.hedged = True
        server.core.set_leverage("BTC-USDT-SWAP", 3)
        ended = keeper_here("doctor", "--fix", "--yes", "--json")
        assert ended.code == 78
        [fund] = ended.document["funds"]
        assert fund["changes"] == []
        failing = {one["check"]: one["remedy"] for one in fund["findings"] if one["verdict"] == "fail"}
        assert failing.keys() == {"position_mode", "margin"}
        assert "under position mode" in failing["position_mode"]
        assert all("on okx.com" in remedy and "--fix" not in remedy for remedy in failing.values())
        assert line(ended, "account_mode")["found"] == "the account is in futures mode, which has this market"
        assert [one for one in server.requests if one.method != "GET"] == []


def test_fix_says_where_it_can_t(tmp_path: Path, keeper_here: CommandLine, usdm: BinanceUsdm) -> None:
    written_patient(tmp_path, USDM, usdm, "testnet")
    usdm.core.set_leverage("BTCUSDT", 3)
    usdm.core.instruments["BTCUSDT"].max_leverage = 5
    ended = keeper_here("doctor", "--fix", "--yes")
    assert ended.code == 69, ended.err
    assert "Leverage is not valid" in ended.said[-1]
    assert keeper_here("doctor", "--json").document["funds"][0]["changes"]


def test_an_exchange_out_of_reach_is_named_with_its_port(tmp_path: Path, keeper_here: CommandLine) -> None:
    with in_thread(USDM.server()) as server:
        written_patient(tmp_path, USDM, server, "testnet")
        origin = server.url.removeprefix("http://")
    ended = keeper_here("doctor", "--json")
    assert ended.code == 69
    reach = line(ended, "reach")
    assert f"{origin} (which stands for demo-fapi.binance.com) can't be reached" in reach["found"]
    assert all(word in reach["found"] for word in ("DNS", "proxy", "maintenance"))
