"""How Gate tells its ledger: the account book of the futures account."""

from collections.abc import Mapping

from keeper.domain.statement import Posting, PostingKind
from keeper.venues import parsing
from keeper.venues.speech.base import Wire

PRICED = frozenset({"pnl"})
"""What prices made."""
POINTS = "point_"
"""How the types begin of what moves points, which are no money."""
KINDS: Mapping[str, PostingKind] = {
    "dnw": PostingKind.TRANSFER,
    "fee": PostingKind.TRADING_FEE,
    "fund": PostingKind.FUNDING,
}
"""What is in no list is something else that is charged or credited."""


def posting(wire: Wire, row: object, asset: str) -> Posting | None:
    """One row of the book of ``asset``; None for what prices made, and for points.

    A row has no id: what it changed, when, and the balance that it left name it.
    """
    kind, change = parsing.word(row, "type"), parsing.number(row, "change")
    if kind in PRICED or kind.startswith(POINTS):
        return None
    at = parsing.since_epoch(parsing.part(row, "time"), "time of a posting", per_second=1)
    market = str(row["contract"] or "") if isinstance(row, Mapping) and "contract" in row else ""
    balance = parsing.number(row, "balance")
    return Posting(
        id=f"{at:%Y%m%dT%H%M%S.%f}-{kind}-{change}-{balance}",
        kind=KINDS.get(kind, PostingKind.OTHER),
        at=at,
        asset=asset,
        amount=change,
        symbol=wire.contract(market) if market else "",
    )
