"""A journal with a short history, and a hand that alters it behind Keeper's back."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from keeper.domain.fund import FirstStart
from keeper.domain.order import ChildState
from keeper.domain.run import NavCause, RunStatus
from keeper.journal import Mode, SqlJournal
from keeper.ports import ChainFault
from tests.fakes.book_values import BOTH_FEES, opening
from tests.fakes.journal_values import AT, BTC, a_child, a_command, a_fill, a_nav, a_posting, a_report, a_run, later

HISTORY = (
    "command.submitted",
    "command.taken",
    "run.opened",
    "nav.recorded",
    "plan.made",
    "child.intended",
    "child.advanced",
    "child.intended",
    "child.advanced",
    "child.advanced",
    "nav.recorded",
    "run.closed",
    "fund.started",
    "fund.changed",
    "fund.settled",
    "market.pinned",
    "books.entered",
    "ledger.booked",
)


def write_history(path: Path) -> None:
    asyncio.run(_write(path))


async def _write(path: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    await journal.submit_command(a_command())
    await journal.take_command("c1", later(1))
    await journal.open_run(a_run(trigger="manual:c1"))
    await journal.record_nav(a_nav())
    await journal.note("plan.made", fund="btc3l", run="r1", at=AT, payload={"hash": "abc"})
    await journal.record_intent(a_child())
    await journal.advance_child(
        "kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=later(2), report=a_report(), fills=[a_fill()]
    )
    await journal.record_intent(replace(a_child("kpr2", sequence=2), notional=Decimal("30000.05")))
    await journal.advance_child("kpr2", expected=ChildState.INTENT, state=ChildState.UNKNOWN, at=later(3), reason="timeout")
    fills = [a_fill("t2", amount="0.2"), a_fill("t3", amount="0.3")]
    await journal.advance_child(
        "kpr2",
        expected=ChildState.UNKNOWN,
        state=ChildState.FILLED,
        at=later(4),
        report=a_report("kpr2", order_id="o2"),
        fills=fills,
    )
    await journal.record_nav(a_nav(cause=NavCause.AFTER, nav="114990"))
    await journal.close_run("r1", RunStatus.COMPLETED, reason="done", result={"fees": "45"}, at=later(5))
    await journal.first_start(FirstStart(fund="btc3l", seed="7", since=AT))
    await journal.set_trouble("btc3l", "the exchange is down", at=later(6))
    await journal.record_settled("btc3l", "r1", {BTC: Decimal("1.5")}, at=later(7), account="acc")
    await journal.pin("acc1", BTC, {"contract_size": Decimal(1), "settled_in": "USDT"}, at=later(8))
    await journal.enter("btc3l", [opening(terms=BOTH_FEES)], last=0)
    last = (await journal.ledger("btc3l")).last
    assert await journal.book_ledger("btc3l", [a_posting()], [], last=last, at=later(9))
    assert await journal.verify() == ()
    await journal.close()


def alter(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement, values in statements:
            connection.execute(statement, values)


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def verdict(path: Path) -> tuple[ChainFault, ...]:
    async def read() -> tuple[ChainFault, ...]:
        journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.AUDITOR, inline=True)
        try:
            return await journal.verify()
        finally:
            await journal.close()

    return asyncio.run(read())


def put_back(backup: Path, journal: Path) -> None:
    """Put a copy of a closed SQLite journal in its place, as an operator does, without what lies beside it."""
    for rest in journal.parent.glob(f"{journal.name}*"):
        rest.unlink()
    journal.write_bytes(backup.read_bytes())
