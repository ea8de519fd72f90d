"""What the paper exchange books beside trades: funding, and its own ledger of all that moved the account. Values only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.domain.market import Market
from keeper.domain.numbers import ZERO, exact
from keeper.domain.observation import FundingRate
from keeper.domain.statement import Posting, PostingKind
from keeper.venues.paper.ledger import Ledger

_MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)


def instants(since: datetime, until: datetime, every: timedelta) -> list[datetime]:
    """When funding is paid after ``since`` and no later than ``until``: whole multiples of ``every`` from midnight UTC."""
    number, found = (since - _MIDNIGHT) // every + 1, []
    while (at := _MIDNIGHT + number * every) <= until:
        found.append(at)
        number += 1
    return found


@exact
def funded(ledger: Ledger, market: Market, rate: FundingRate, mark: Decimal, at: datetime) -> Ledger:
    """``ledger`` once funding of ``market`` was paid at ``at``, on the position and the mark (quote per base) of then."""
    contracts = ledger.account.positions[market.symbol].contracts
    notional = market.notional(contracts, mark)
    paid = notional * rate.rate if market.settle == market.quote else notional * rate.rate / mark
    posting = Posting(
        id=f"funding-{market.symbol}-{at:%Y%m%dT%H%M}",
        kind=PostingKind.FUNDING,
        at=at,
        asset=market.settle,
        amount=-paid,
        symbol=market.symbol,
    )
    balances = dict(ledger.account.balances)
    balances[market.settle] = balances.get(market.settle, ZERO) - paid
    return replace(ledger, account=replace(ledger.account, balances=balances), postings=(*ledger.postings, posting))


def statement(ledger: Ledger, since: datetime) -> tuple[Posting, ...]:
    """What moved the account from ``since`` on beside prices, oldest first: funding, and the fee of each trade."""
    fees = [
        Posting(
            id=f"fee-{fill.trade_id}",
            kind=PostingKind.TRADING_FEE,
            at=fill.at,
            asset=fill.fee_asset,
            amount=-fill.fee,
            symbol=fill.symbol,
        )
        for booked in ledger.orders.values()
        for fill in booked.fills
        if fill.fee
    ]
    found = (posting for posting in (*ledger.postings, *fees) if posting.at >= since)
    return tuple(sorted(found, key=lambda posting: (posting.at, posting.id)))


def postings_document(postings: tuple[Posting, ...]) -> list[Mapping[str, str]]:
    """Postings as JSON values, which ``postings_of`` reads."""
    return [
        {
            "id": one.id,
            "kind": one.kind.value,
            "at": one.at.isoformat(),
            "asset": one.asset,
            "amount": str(one.amount),
            "symbol": one.symbol,
        }
        for one in postings
    ]
