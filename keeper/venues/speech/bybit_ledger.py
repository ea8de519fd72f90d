"""How Bybit's unified account tells its ledger: the rows of the transaction log."""

from collections.abc import Mapping

from keeper.domain.numbers import ZERO
from keeper.domain.statement import Posting, PostingKind
from keeper.venues import parsing
from keeper.venues.speech import bybit_rows
from keeper.venues.speech.base import Wire

ROWS_A_PAGE = 50
TRADED = frozenset({"TRADE", "LIQUIDATION", "ADL", "DELIVERY"})
"""What changes hands: its profit is the prices', and its fee alone is a posting."""
KINDS: Mapping[str, PostingKind] = {
    "SETTLEMENT": PostingKind.FUNDING,
    "TRANSFER_IN": PostingKind.TRANSFER,
    "TRANSFER_OUT": PostingKind.TRANSFER,
    "INTEREST": PostingKind.BORROW_INTEREST,
}
"""What is in no list is something else that is charged or credited."""


def posting(wire: Wire, row: object) -> Posting | None:
    """One row; None for a trade without a fee. Where the log has a change it is that, signed as the balance went.

    A settlement of a USDC contract changes the balance by the session's profit, too, which prices made: its funding alone is one.
    """
    kind, asset = parsing.word(row, "type"), parsing.word(row, "currency")
    charged, traded = bybit_rows.optional(row, "fee"), kind in TRADED
    fee = parsing.finite(charged, "fee") if charged else ZERO
    if traded and not fee:
        return None
    market = bybit_rows.text(row, "symbol")
    named = wire.pair if bybit_rows.text(row, "category") == "spot" else wire.contract
    paid = bybit_rows.optional(row, "funding") if kind == "SETTLEMENT" else ""
    amount = fee.copy_negate() if traded else parsing.finite(paid, "funding") if paid else parsing.number(row, "change")
    return Posting(
        id=parsing.named(parsing.part(row, "id"), "id of a posting"),
        kind=PostingKind.TRADING_FEE if traded else KINDS.get(kind, PostingKind.OTHER),
        at=parsing.instant(parsing.part(row, "transactionTime"), "time of a posting"),
        asset=wire.asset(asset),
        amount=amount,
        symbol=named(market) if market else "",
    )
