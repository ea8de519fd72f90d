"""How OKX tells its ledger: the bills of the trading account."""

from collections.abc import Mapping

from keeper.domain.statement import Posting, PostingKind
from keeper.venues import parsing
from keeper.venues.speech.base import Wire

TRADED = frozenset({"2", "3", "5", "9", "14", "24"})
"""Trades, deliveries, forced ones, blocks and spreads: their profit is the prices', and their fee alone is a posting."""
INSIDE = frozenset({"6", "15"})
"""Margin that moves between a position and the balance."""
KINDS: Mapping[str, PostingKind] = {
    "1": PostingKind.TRANSFER,
    "7": PostingKind.BORROW_INTEREST,
    "8": PostingKind.FUNDING,
    "12": PostingKind.TRANSFER,
}
"""What is in no list is something else that is charged or credited."""


def posting(wire: Wire, row: object) -> Posting | None:
    """One bill; None for a trade without a fee, and for what stays inside. A fee that is charged is below 0 here."""
    kind = parsing.word(row, "type")
    traded = kind in TRADED
    amount = parsing.number(row, "fee" if traded else "balChg")
    if kind in INSIDE or (traded and not amount):
        return None
    market = parsing.part(row, "instId")
    named = wire.pair if parsing.part(row, "instType") in ("SPOT", "MARGIN") else wire.contract
    return Posting(
        id=parsing.identity(parsing.part(row, "billId"), "bill"),
        kind=PostingKind.TRADING_FEE if traded else KINDS.get(kind, PostingKind.OTHER),
        at=parsing.instant(parsing.part(row, "ts"), "time of a bill"),
        asset=wire.asset(parsing.word(row, "ccy")),
        amount=amount,
        symbol=named(str(market)) if market else "",
    )
