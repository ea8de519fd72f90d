"""What the journal must have of the exchange's own ledger: what happened, each posting once, and nothing that did not."""

from datetime import datetime
from decimal import Decimal

from keeper.service.day_book import FIRST
from tests.simulation.database import Disk
from tests.simulation.exchange import Exchange

_POSTINGS = "SELECT id, amount FROM postings"
_READ = "SELECT json_extract(payload, '$.until') FROM events WHERE kind = 'ledger.read' ORDER BY seq DESC LIMIT 1"
_FIRST = "SELECT min(at) FROM events WHERE kind = 'ledger.read'"


def ledger_faults(exchange: Exchange, disk: Disk) -> list[str]:
    """What is wrong, in words. From a day before it was first read, up to where it was read last, it must be there whole."""
    booked = {posting: Decimal(amount) for posting, amount in disk.rows(_POSTINGS)}
    told = {posting.id: posting for posting in exchange.statement}
    faults = [f"posting {name} is in the journal and never happened" for name in sorted(booked.keys() - told.keys())]
    for name, amount in sorted(booked.items()):
        if name in told and told[name].amount != amount:
            faults.append(f"posting {name} is booked as {amount}, it was {told[name].amount}")
    for (until,) in disk.rows(_READ):
        known, ((first,),) = datetime.fromisoformat(until), disk.rows(_FIRST)
        since = datetime.fromisoformat(first) - FIRST
        missing = sorted(one.id for one in exchange.statement if since < one.at <= known and one.id not in booked)
        faults += [f"posting {name} is not in the journal, which was read up to {until}" for name in missing]
    return faults
