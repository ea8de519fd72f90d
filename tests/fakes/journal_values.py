"""Runs, children, fills and the like, as small as the journal takes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.domain.market import Side
from keeper.domain.order import Child, ChildState, Fill, OrderReport, OrderRequest
from keeper.domain.run import Command, CommandKind, NavCause, NavPoint, Run, RunKey, RunStatus
from keeper.domain.statement import Booked, Posting, PostingKind

AT = datetime(2024, 3, 31, 0, 15, tzinfo=UTC)
BTC = "BTC/USDT:USDT"


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def a_run(run_id: str = "r1", *, fund: str = "btc3l", trigger: str | None = None, account: str = "acc1") -> Run:
    return Run(
        id=run_id,
        key=RunKey(fund, trigger or f"manual:{run_id}"),
        venue="sim",
        environment="paper",
        account=account,
        currency="USDT",
        status=RunStatus.RUNNING,
        reason="",
        plan={"hash": "abc", "legs": [{"market": BTC, "amount": "0.5"}]},
        result=None,
        started_at=AT,
        deadline=later(1800),
    )


def a_child(name: str = "kpr1", *, run: str = "r1", sequence: int = 1, at: datetime = AT, reduce_only: bool = False) -> Child:
    request = OrderRequest(
        client_id=name,
        symbol=BTC,
        side=Side.BUY,
        amount=Decimal("0.5"),
        price=Decimal("60000.10"),
        reduce_only=reduce_only,
        deadline=at + timedelta(seconds=5),
    )
    return Child(
        request=request,
        run=run,
        leg=0,
        sequence=sequence,
        mid=Decimal(60000),
        half_spread=Decimal("0.05"),
        state=ChildState.INTENT,
        at=at,
        notional=request.amount * request.price,
    )


def in_state(child: Child, state: ChildState) -> Child:
    return replace(child, state=state)


def a_fill(trade_id: str = "t1", *, amount: str = "0.5", at: datetime = AT) -> Fill:
    return Fill(
        trade_id=trade_id,
        symbol=BTC,
        side=Side.BUY,
        amount=Decimal(amount),
        price=Decimal("60000.05"),
        fee=Decimal("15.0000125"),
        fee_asset="USDT",
        at=at,
    )


def a_report(
    name: str = "kpr1", *, order_id: str = "o1", filled: str = "0.5", state: ChildState = ChildState.FILLED
) -> OrderReport:
    average = Decimal("60000.05") if Decimal(filled) else None
    return OrderReport(order_id=order_id, client_id=name, state=state, filled=Decimal(filled), average=average)


def a_nav(run: str = "r1", *, fund: str = "btc3l", cause: NavCause = NavCause.BEFORE, nav: str = "115000.00") -> NavPoint:
    return NavPoint(
        fund=fund,
        run=run,
        cause=cause,
        at=AT,
        nav=Decimal(nav),
        currency="USDT",
        net_leverage=Decimal("2.7391"),
        gross_leverage=Decimal("2.7391"),
        exposures={BTC: Decimal("315000.0000000000000000000000000001"), "BNB": Decimal(12)},
        prices={BTC: Decimal(105000), "BNB": Decimal(600)},
    )


def a_posting(
    posting_id: str = "f1", *, kind: PostingKind = PostingKind.FUNDING, amount: str = "-1.25", at: datetime = AT, entry: str = ""
) -> Booked:
    posting = Posting(id=posting_id, kind=kind, at=at, asset="USDT", amount=Decimal(amount), symbol=BTC)
    return Booked(posting=posting, account="acc1", fund="btc3l", currency="USDT", value=Decimal(amount), entry=entry)


def a_command(command_id: str = "c1") -> Command:
    return Command(id=command_id, fund="btc3l", kind=CommandKind.REBALANCE, reason="by hand", at=AT)
