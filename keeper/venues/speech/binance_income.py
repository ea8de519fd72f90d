"""How Binance's futures tell their ledger: the income history of an account."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from keeper.domain.statement import Posting, PostingKind
from keeper.venues import listing, parsing
from keeper.venues.speech.base import Wire

SPAN = timedelta(days=7, milliseconds=-1)
DEEPEST = timedelta(days=89)
"""Income is told of the last three months."""
PRICED = frozenset({"REALIZED_PNL", "DELIVERED_SETTELMENT"})
"""Profits as they are realised, which equity had before."""
KINDS: Mapping[str, PostingKind] = {
    "FUNDING_FEE": PostingKind.FUNDING,
    "COMMISSION": PostingKind.TRADING_FEE,
    "TRANSFER": PostingKind.TRANSFER,
    "INTERNAL_TRANSFER": PostingKind.TRANSFER,
    "CROSS_COLLATERAL_TRANSFER": PostingKind.TRANSFER,
    "STRATEGY_UMFUTURES_TRANSFER": PostingKind.TRANSFER,
    "COIN_SWAP_DEPOSIT": PostingKind.DEPOSIT,
    "COIN_SWAP_WITHDRAW": PostingKind.WITHDRAWAL,
}
"""What is in no list is something else that is charged or credited."""


async def ledger(wire: Wire, call: str, since: datetime) -> tuple[Posting, ...]:
    """Every posting from ``since`` on, at most three months back. call: ccxt's method of the income history."""

    async def ask(start: int, end: int) -> object:
        return await wire.ask(call, startTime=start, endTime=end, limit=listing.MOST_ROWS)

    begin = max(since, wire.now - DEEPEST)
    rows = await listing.every_row(ask, begin, wire.now, span=SPAN, what="postings")
    return parsing.postings(posting(wire, row) for row in rows)


def posting(wire: Wire, row: object) -> Posting | None:
    """One row of the income history; None for what prices made. Ids are unique within a kind of income."""
    kind, asset = parsing.word(row, "incomeType"), parsing.word(row, "asset")
    market = parsing.part(row, "symbol")
    if kind in PRICED:
        return None
    return Posting(
        id="-".join(filter(None, (kind, parsing.identity(parsing.part(row, "tranId"), "tranId"), asset, str(market or "")))),
        kind=KINDS.get(kind, PostingKind.OTHER),
        at=parsing.instant(parsing.part(row, "time"), "time of a posting"),
        asset=wire.asset(asset),
        amount=parsing.number(row, "income"),
        symbol=wire.contract(parsing.word(row, "symbol")) if market else "",
    )
