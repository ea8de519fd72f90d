"""What the gate and recovery ask of the journal: rolling usage, how a fund stands, what it held at rest, what is pinned."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command as alembic
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FundState, Neighbour, Settled, Standing, Usage
from keeper.domain.market import Side
from keeper.domain.order import NEVER_SENT, Child, ChildState, Rejected
from keeper.domain.run import Command, CommandKind
from keeper.journal import Mode, SqlJournal, events, migrations, upgrade
from keeper.journal.schema import fund_states
from keeper.ports import ChainFault, Journal
from tests.fakes.journal_values import AT, BTC, a_child, a_report, a_run, later
from tests.fakes.tampering import alter

ETH = "ETH/USDT:USDT"
HOUR, DAY = 3600, 86400


@pytest.fixture(params=["threads", "inline", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/keeper.db"
    opened = SqlJournal.open(url, mode=Mode.WRITER, inline=request.param != "threads")
    yield opened
    assert await opened.verify() == ()
    await opened.close()


def worth(child: Child, notional: str) -> Child:
    return replace(child, notional=Decimal(notional))


async def test_a_fund_of_which_nothing_is_known_stands_at_zero(journal: Journal) -> None:
    footing = await journal.footing("btc3l", "r1", AT)
    assert (footing.standing, footing.open_children, footing.usage) == (Standing(fund="btc3l"), (), Usage())


async def test_usage_counts_by_hour_by_day_and_by_run(journal: Journal) -> None:
    for name, fund in (("old", "btc3l"), ("r1", "btc3l"), ("r2", "other")):
        await journal.open_run(a_run(name, fund=fund))
    for child in (
        worth(a_child("kpr1", run="r1", sequence=1, at=later(-2 * DAY)), "1"),  # of the run, from an earlier attempt
        worth(a_child("kpr2", run="old", sequence=1, at=later(-DAY - 1)), "10"),  # too old for any window
        worth(a_child("kpr3", run="old", sequence=2, at=later(-DAY)), "100"),
        worth(a_child("kpr4", run="old", sequence=3, at=later(-HOUR - 1), reduce_only=True), "1000"),
        worth(a_child("kpr5", run="r1", sequence=2, at=later(-HOUR)), "10000"),
        worth(a_child("kpr6", run="r1", sequence=3, at=later(0), reduce_only=True), "100000"),
        worth(a_child("kpr7", run="r2", sequence=1, at=later(0)), "7777777"),
    ):
        await journal.record_intent(child)
    footing = await journal.footing("btc3l", "r1", AT)
    assert footing.usage == Usage(
        adding_hour=Decimal(10000),
        adding_day=Decimal(10100),
        adding_run=Decimal(10001),
        reducing_hour=Decimal(100000),
        reducing_day=Decimal(101000),
        reducing_run=Decimal(100000),
        orders_hour=2,
        orders_day=4,
        orders_run=3,
    )
    assert [child.request.client_id for child in footing.open_children] == ["kpr1", "kpr2", "kpr3", "kpr4", "kpr5", "kpr6"]


async def test_usage_counts_what_came_to_nothing_and_what_the_clock_dates_later(journal: Journal) -> None:
    await journal.open_run(a_run())
    await journal.record_intent(worth(a_child("kpr1", at=later(-5)), "3"))
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.REJECTED, at=AT)
    await journal.record_intent(worth(a_child("kpr2", sequence=2, at=later(50)), "4"))  # before the clock was set back
    usage = (await journal.footing("btc3l", "r1", AT)).usage
    assert (usage.adding_hour, usage.adding_day) == (Decimal(7), Decimal(7))
    assert (usage.orders_hour, usage.orders_day) == (2, 2)


@pytest.mark.parametrize(
    ("rejected", "counted"),
    [
        (Rejected(NEVER_SENT, "the order never left: ClientConnectorError"), 0),
        (Rejected("-2019", "the margin is insufficient"), 1),
        (Rejected("neverXsent", "a code of the venue's own"), 1),
    ],
)
async def test_turnover_leaves_out_what_never_left_and_the_caps_on_orders_do_not(
    journal: Journal, rejected: Rejected, counted: int
) -> None:
    await journal.open_run(a_run())
    for sequence, reduce_only in ((1, False), (2, True)):
        name = f"kpr{sequence}"
        await journal.record_intent(worth(a_child(name, sequence=sequence, reduce_only=reduce_only), "3"))
        intended = (await journal.footing("btc3l", "r1", AT)).usage  # it may be on its way: it counts until the proof is there
        assert (intended.adding_run + intended.reducing_run) == 3 * (counted * (sequence - 1) + 1)
        state, reason = ChildState.REJECTED, rejected.reason
        await journal.advance_child(name, expected=ChildState.INTENT, state=state, at=AT, reason=reason)
    usage = (await journal.footing("btc3l", "r1", AT)).usage
    assert {usage.adding_run, usage.adding_hour, usage.adding_day} == {Decimal(3 * counted)}
    assert {usage.reducing_run, usage.reducing_hour, usage.reducing_day} == {Decimal(3 * counted)}
    assert (usage.orders_run, usage.orders_hour, usage.orders_day) == (2, 2, 2)


async def test_usage_loses_no_digit(journal: Journal) -> None:
    await journal.open_run(a_run())
    for sequence, notional in enumerate(("1000000000.000000000000000001", "0.000000000000000002", "0.1"), start=1):
        await journal.record_intent(worth(a_child(f"kpr{sequence}", sequence=sequence), notional))
    assert (await journal.footing("btc3l", "r1", AT)).usage.adding_day == Decimal("1000000000.100000000000000003")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["r1", "r2"]), st.integers(-2 * DAY, 60), st.booleans(), st.decimals("0.01", "1e9", places=8)),
        max_size=12,
    )
)
async def test_usage_is_the_sum_of_what_was_intended(intended: list[tuple[str, int, bool, Decimal]]) -> None:
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    for run in ("r1", "r2"):
        await journal.open_run(a_run(run))
    for number, (run, seconds, reduces, notional) in enumerate(intended):
        child = a_child(f"kpr{number}", run=run, sequence=number, at=later(seconds), reduce_only=reduces)
        await journal.record_intent(replace(child, notional=notional))
    usage = (await journal.footing("btc3l", "r1", AT)).usage
    await journal.close()
    within = {
        "hour": [one for one in intended if one[1] >= -HOUR],
        "day": [one for one in intended if one[1] >= -DAY],
        "run": [one for one in intended if one[0] == "r1"],
    }
    for window, chosen in within.items():
        assert getattr(usage, f"adding_{window}") == sum(one[3] for one in chosen if not one[2])
        assert getattr(usage, f"reducing_{window}") == sum(one[3] for one in chosen if one[2])
        assert getattr(usage, f"orders_{window}") == len(chosen)


async def test_footing_reads_no_more_however_long_the_history(tmp_path: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER, inline=True)
    for day in range(30):
        await journal.open_run(a_run(f"r{day}"))
        for step in range(10):
            child = a_child(f"kpr{day}x{step}", run=f"r{day}", sequence=step, at=AT - timedelta(days=30 - day))
            await journal.record_intent(child)
            await journal.advance_child(child.request.client_id, expected=ChildState.INTENT, state=ChildState.REJECTED, at=AT)
    asked: list[str] = []
    journal._base.read(lambda connection: driver(connection).set_trace_callback(asked.append))
    await journal.footing("btc3l", "r29", AT)
    plans = [step for statement in asked if statement.startswith("SELECT") for step in explained(journal, statement)]
    await journal.close()
    assert len(plans) > 5
    assert [step for step in plans if step.startswith("SCAN") or ("runs" in step and "fund" in step)] == []


def driver(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


def explained(journal: SqlJournal, statement: str) -> list[str]:
    plan = journal._base.read(lambda connection: driver(connection).execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
    return [str(step[3]) for step in plan]


async def test_a_state_keeps_its_cause(journal: Journal) -> None:
    await journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="cost 40 bps", at=AT, cause="slippage")
    told = Standing(fund="btc3l", state=FundState.REDUCE_ONLY, reason="cost 40 bps", cause="slippage", at=AT)
    assert await journal.standing("btc3l") == (await journal.footing("btc3l", "r1", AT)).standing == told
    await journal.set_state("btc3l", FundState.ACTIVE, reason="seen", at=later(1))
    assert await journal.standing("btc3l") == Standing(fund="btc3l", reason="seen", at=later(1), cleared_at=later(1))


async def test_to_flatten_binds_the_fund_to_reductions_with_the_request(journal: Journal) -> None:
    await journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="", at=AT, cause="loss")
    asked = Command(id="c1", fund="btc3l", kind=CommandKind.FLATTEN, reason="enough", at=later(3))
    await journal.submit_command(asked)
    assert await journal.standing("btc3l") == Standing(
        fund="btc3l", state=FundState.REDUCE_ONLY, reason="enough", cause="", at=later(3)
    )
    assert await journal.waiting_commands() == (asked,)
    assert await journal.take_command("c1", later(4))
    await journal.end_command("c1", at=later(5), exit_code=0)
    assert (await journal.standing("btc3l")).reducing


async def test_a_flattening_without_a_reason_is_its_own_reason(journal: Journal) -> None:
    await journal.submit_command(Command(id="c1", fund="btc3l", kind=CommandKind.FLATTEN, reason="", at=later(3)))
    standing = await journal.standing("btc3l")
    assert (standing.reason, standing.flattened) == ("flatten", True)


async def test_what_was_settled_last_is_all_that_is_known_of_what_is_held(journal: Journal) -> None:
    assert await journal.settled("btc3l", "acc1") == {}
    await journal.record_settled("btc3l", "r1", {BTC: Decimal("1.500"), ETH: Decimal(-2)}, at=AT, account="acc1")
    await journal.record_settled("other", "r9", {BTC: Decimal(9)}, at=AT, account="acc1")
    assert await journal.settled("btc3l", "acc1") == {
        BTC: Settled(symbol=BTC, contracts=Decimal("1.500"), at=AT),
        ETH: Settled(symbol=ETH, contracts=Decimal(-2), at=AT),
    }
    await journal.record_settled("btc3l", "r2", {BTC: Decimal(0)}, at=later(5), account="acc1")
    assert await journal.settled("btc3l", "acc1") == {BTC: Settled(symbol=BTC, contracts=Decimal(0), at=later(5))}
    assert [event.kind for event in await journal.events()] == ["fund.settled"] * 3
    await journal.record_settled("btc3l", "r3", {}, at=later(9), account="acc1")
    assert len(await journal.events()) == 3


async def test_what_was_settled_on_another_account_or_by_a_clock_set_back_is_told_apart(journal: Journal) -> None:
    await journal.record_settled("btc3l", "r1", {BTC: Decimal(1), ETH: Decimal(2)}, at=later(60), account="acc1")
    assert await journal.settled("btc3l", "acc2") == {}
    await journal.record_settled("btc3l", "r2", {BTC: Decimal(3)}, at=AT, account="acc1")
    assert await journal.settled("btc3l", "acc1") == {BTC: Settled(symbol=BTC, contracts=Decimal(3), at=AT)}
    await journal.record_settled("btc3l", "r3", {BTC: Decimal(4)}, at=later(1), account="acc2")
    assert await journal.settled("btc3l", "acc1") == {}
    assert await journal.settled("btc3l", "acc2") == {BTC: Settled(symbol=BTC, contracts=Decimal(4), at=later(1))}


async def test_breakers_count_anew_from_a_humans_word_and_not_from_a_breaker_that_lifted(journal: Journal) -> None:
    await journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="no data", at=AT, cause="stale_data")
    await journal.set_state("btc3l", FundState.ACTIVE, reason="", at=later(1), cause="stale_data")
    assert (await journal.standing("btc3l")).cleared_at is None
    await journal.set_state("btc3l", FundState.HALTED, reason="by hand", at=later(2))
    await journal.set_state("btc3l", FundState.ACTIVE, reason="looked at", at=later(3))
    await journal.set_state("btc3l", FundState.REDUCE_ONLY, reason="no data", at=later(4), cause="stale_data")
    await journal.set_state("btc3l", FundState.ACTIVE, reason="", at=later(5), cause="stale_data")
    standing = await journal.standing("btc3l")
    assert (standing.at, standing.cleared_at, standing.halted, standing.reducing) == (later(5), later(3), False, False)


async def test_the_first_pin_stands(journal: Journal) -> None:
    told = {"contract_size": Decimal("0.10"), "kind": "linear"}
    assert await journal.pin("acc1", BTC, told, at=AT) == {"contract_size": "0.10", "kind": "linear"}
    assert await journal.pin("acc1", BTC, told | {"kind": "inverse"}, at=later(1)) == {"contract_size": "0.10", "kind": "linear"}
    assert await journal.pin("acc2", BTC, {"kind": "inverse"}, at=later(2)) == {"kind": "inverse"}
    assert await journal.pin("acc1", ETH, {}, at=later(3)) == {}
    assert [event.kind for event in await journal.events()] == ["market.pinned"] * 3


async def test_a_market_is_pinned_anew_where_it_was_before_and_the_chain_tells_of_it(journal: Journal) -> None:
    assert await journal.pins("acc1") == {}
    await journal.pin("acc1", BTC, {"contract_size": "1"}, at=AT)
    await journal.pin("acc1", ETH, {"contract_size": "1"}, at=AT)
    await journal.pin("acc2", BTC, {"contract_size": "1"}, at=AT)
    await journal.repin("acc1", BTC, {"contract_size": "10"}, at=later(1))
    assert await journal.pins("acc1") == {BTC: {"contract_size": "10"}, ETH: {"contract_size": "1"}}
    assert await journal.pins("acc2") == {BTC: {"contract_size": "1"}}
    assert [event.kind for event in await journal.events()] == ["market.pinned"] * 4
    assert await journal.verify() == ()
    with pytest.raises(InvariantViolation, match="never pinned"):
        await journal.repin("acc2", ETH, {}, at=later(2))
    assert await journal.verify() == ()


async def test_which_orders_the_journal_knows_and_since_when(journal: Journal) -> None:
    assert await journal.known(["kpr1"]) == {}
    assert await journal.last_intent_at("acc1") is None
    for run, account in (("r1", "acc1"), ("r2", "acc2")):
        await journal.open_run(a_run(run, account=account))
    await journal.record_intent(a_child("kpr1", at=later(7)))
    await journal.record_intent(a_child("kpr2", sequence=2, at=later(5)))
    await journal.record_intent(a_child("kpr3", run="r2", at=later(9)))
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=later(30), report=a_report())
    await journal.set_trouble("btc3l", "down", at=later(40))
    assert await journal.known(["kpr3", "kpr1", "kpr9", "", "it's"]) == {"kpr1": a_report().filled, "kpr3": 0}
    assert await journal.known(()) == {}
    assert await journal.last_intent_at("acc1") == later(7)
    assert await journal.last_intent_at("acc3") is None
    await journal.open_run(a_run("r3", account="acc1", trigger="flatten:1"))
    await journal.record_intent(a_child("kpr4", run="r3", at=later(60)))
    assert await journal.last_intent_at("acc1") == later(7), "a flattening waits for nobody to look for what is missing"


async def test_an_image_starts_another_journal_and_neither_sees_the_other() -> None:
    first = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    await first.open_run(a_run())
    copies = [SqlJournal.over(first.image()) for _ in range(2)]
    await first.record_intent(a_child("kpr1"))
    await copies[0].record_intent(a_child("kpr2"))
    await copies[0].record_intent(a_child("kpr3", sequence=2))
    kept = [[child.request.client_id for child in await journal.children("r1")] for journal in (first, *copies)]
    assert kept == [["kpr1"], ["kpr2", "kpr3"], []]
    for journal in (first, *copies):
        assert await journal.verify() == ()
        await journal.close()


async def test_a_journal_of_the_second_revision_is_upgraded_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    engine = create_engine(f"sqlite:///{path}")
    row = {"fund": "btc3l", "state": "halted", "reason": "a bug", "at": "2024-03-31T00:15:00.000000+00:00", "trouble": ""}
    with engine.begin() as connection:
        alembic.upgrade(migrations.configured(connection), "0002")
        chain = events.Chain(connection)
        seq = chain.append(at=AT, kind=events.FUND_CHANGED, fund="btc3l", run="", payload=events.booked(fund_states, row))
        chain.seal()
        connection.execute(text(f"INSERT INTO fund_states VALUES (:fund, {seq}, :state, :reason, :at, :trouble)"), row)  # noqa: S608 - a number
    engine.dispose()
    upgrade(f"sqlite:///{path}")
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    assert await journal.standing("btc3l") == Standing(fund="btc3l", state=FundState.HALTED, reason="a bug", at=AT)
    assert await journal.verify() == ()
    await journal.close()
    alter(path, ("UPDATE fund_states SET cause = 'x'", ()))
    assert [fault.what for fault in await _verified(path)] == ["fund_states btc3l: cause was altered"]


async def _verified(path: Path) -> tuple[ChainFault, ...]:
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.AUDITOR, inline=True)
    try:
        return await journal.verify()
    finally:
        await journal.close()


async def test_coins_sold_on_spot_count_as_a_reduction(journal: Journal) -> None:
    await journal.open_run(a_run())
    for sequence, (symbol, side) in enumerate((("BTC/USDT", Side.SELL), ("BTC/USDT", Side.BUY), (BTC, Side.SELL)), start=1):
        child = a_child(f"kpr{sequence}", sequence=sequence)
        request = replace(child.request, symbol=symbol, side=side)
        await journal.record_intent(replace(child, request=request, notional=Decimal(10**sequence)))
    usage = (await journal.footing("btc3l", "r1", later(9))).usage
    assert (usage.reducing_day, usage.adding_day) == (Decimal(10), Decimal(1100))


async def test_what_a_fund_of_another_name_left_on_the_account_is_known(journal: Journal) -> None:
    for name, fund, account in (
        ("r1", "btc3l", "acc1"),
        ("r2", "renamed", "acc1"),
        ("r3", "moved", "acc1"),
        ("r4", "moved", "acc2"),
        ("r5", "elsewhere", "acc2"),
        ("r6", "done", "acc1"),
    ):
        await journal.open_run(a_run(name, fund=fund, account=account))
    assert await journal.neighbours("btc3l", "acc1") == ()
    children = (("kpr1", "r1"), ("kpr2", "r2"), ("kpr3", "r2"), ("kpr4", "r3"), ("kpr5", "r5"), ("kpr6", "r6"))
    for sequence, (name, run) in enumerate(children):
        await journal.record_intent(a_child(name, run=run, sequence=sequence))
    for fund in ("btc3l", "renamed", "moved", "elsewhere", "never_ran"):
        await journal.set_state(fund, FundState.HALTED, reason="by hand", at=AT)
    await journal.set_state("done", FundState.REDUCE_ONLY, reason="by hand", at=AT)
    await journal.advance_child("kpr2", expected=ChildState.INTENT, state=ChildState.UNKNOWN, at=AT)
    await journal.advance_child("kpr6", expected=ChildState.INTENT, state=ChildState.REJECTED, at=AT)
    assert await journal.neighbours("btc3l", "acc1") == (
        Neighbour(fund="moved", halted=False, unsettled=("kpr4",)),
        Neighbour(fund="renamed", halted=True, unsettled=("kpr2", "kpr3")),
    )
    assert [one.fund for one in await journal.neighbours("renamed", "acc1")] == ["btc3l", "moved"]
    assert [one.fund for one in await journal.neighbours("btc3l", "acc2")] == ["elsewhere", "moved"]
