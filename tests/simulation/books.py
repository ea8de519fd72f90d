"""The books of a simulated fund: opened as its world begins, in half of the seeds, and judged at its end.

Units are made and taken by flows alone, each flow that the exchange tells of is dealt once, and what holders have and payees are
owed is what is there.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from random import Random

from keeper.accounting.dealing import STEP, Stamp, opened
from keeper.accounting.following import PREFIX
from keeper.accounting.nav import fold
from keeper.domain.errors import BookRefused
from keeper.domain.ledger import EntryKind, FeeTerms
from keeper.domain.numbers import exact
from tests.simulation.database import Disk
from tests.simulation.exchange import Exchange

SHARE = 0.5
"""Of the seeds whose fund has books."""
TERMS = FeeTerms(management=Decimal("0.02"), performance=Decimal("0.1"))
ZERO = Decimal(0)
NOISE = Decimal("1e-20")
_READ = "SELECT max(json_extract(payload, '$.until')) FROM events WHERE kind = 'ledger.read'"


async def begin(seed: int, disk: Disk, exchange: Exchange, fund: str) -> None:
    """Open the books of ``fund``, where its seed has some."""
    if Random(f"{seed} books").random() < SHARE:
        stamp = Stamp(id="open", at=exchange.now(), equity=exchange.nav(), currency=exchange.currency)
        entry = opened(fund, stamp, holder="anna", price=Decimal(1), terms=TERMS)
        await disk.journal().enter(fund, [entry], last=0)


async def faults(exchange: Exchange, disk: Disk, fund: str, told: Sequence[str]) -> list[str]:
    """What is wrong with the books of ``fund``, in words; nothing where it has none.

    told: the lines of the log: a flow that can't be dealt, since it takes all there is, is named there.
    """
    ledger = await disk.journal().ledger(fund)
    if not ledger.entries:
        return []
    try:
        books = fold(ledger.items)
    except BookRefused as error:
        return [f"the books don't add up: {error}"]
    assert books is not None
    first, flowed = ledger.entries[0], [entry for entry in ledger.entries if entry.kind is EntryKind.FLOWED]
    ((until,),) = disk.rows(_READ)
    read = first.at if until is None else datetime.fromisoformat(until)
    flows = {f"{PREFIX}{one.id}": one for one in exchange.statement if one.kind.is_flow and one.at > first.at}
    dealt = {entry.id: entry.amount for entry in flowed}
    found = [f"flow {name} was dealt and never happened" for name in sorted(dealt.keys() - flows.keys())]
    named = [line for line in told if "flow.unbooked" in line]
    found += [
        f"flow {name} was neither dealt nor named"
        for name, one in flows.items()
        if one.at <= read and name not in dealt and not any(f"why={one.id}: " in line for line in named)
    ]
    found += [
        f"flow {name} was dealt as {amount}, it was {flows[name].amount}"
        for name, amount in dealt.items()
        if name in flows and flows[name].amount != amount
    ]
    found += [
        f"flow {entry.id} of {entry.amount} was dealt as {entry.units} units at {entry.price}"
        for entry in flowed
        if exact(lambda one=entry: abs(one.units * one.price - one.amount) > STEP * (1 + one.price))()
    ]
    if books.units != first.units + sum((entry.units for entry in flowed), ZERO):
        found.append(f"there are {books.units} units, {first.units} were given and {[str(one.units) for one in flowed]} flowed")
    left = exact(lambda: sum(map(books.value, books.holders), ZERO) + sum(books.owing.values(), ZERO) - books.worth)()
    if abs(left) > NOISE * max(Decimal(1), books.worth):
        found.append(f"holders and payees have {left} more than there is")
    return found
