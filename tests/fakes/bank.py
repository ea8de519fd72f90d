"""Who pays into an account on a scripted venue, whose ledger tells it."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from keeper.domain.statement import Posting, PostingKind
from tests.fakes.scripted_venue import ScriptedVenue

D = Decimal


class Bank:
    """Pays into an account on a scripted venue, whose ledger tells it."""

    def __init__(self, venue: ScriptedVenue) -> None:
        self.venue = venue
        self.told: list[Posting] = []
        self._ledger = venue.ledger
        venue.ledger = self.ledger  # type: ignore[method-assign]

    async def ledger(self, since: datetime) -> tuple[Posting, ...] | None:
        told = await self._ledger(since) or ()
        return (*told, *(posting for posting in self.told if posting.at >= since))

    def pay(self, amount: str, *, asset: str = "USDT", silently: bool = False) -> None:
        inner = self.venue.inner
        ledger = inner._ledger
        balances = {**ledger.account.balances}
        balances[asset] = balances.get(asset, D(0)) + D(amount)
        inner._ledger = replace(ledger, account=replace(ledger.account, balances=balances))
        self.venue._remember()
        kind = PostingKind.DEPOSIT if D(amount) > 0 else PostingKind.WITHDRAWAL
        if not silently:
            at = self.venue.clock.now()
            self.told.append(Posting(id=f"p{len(self.told)}", kind=kind, at=at, asset=asset, amount=D(amount)))
