"""The paper exchange's truth on disk: one JSON file, replaced whole after each order, so a kill never leaves half of one.

A file that can't be read is never overwritten: it may be the only record of a position.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import structlog

from keeper.domain.account import Account, Position
from keeper.domain.errors import VenueUnavailable
from keeper.domain.market import Side
from keeper.domain.order import ChildState, Fill, OrderReport
from keeper.domain.statement import Posting, PostingKind
from keeper.venues.paper.funding import postings_document
from keeper.venues.paper.ledger import Asked, Booked, Ledger

_VERSION = 1
log = structlog.get_logger()


class PaperStore:
    """Keeps a Ledger under a configuration.

    path: of the file (its folder is made), None to keep it in memory; config: whatever describes account and feed; under
    another one the account starts afresh. One process may save; others may load.
    """

    def __init__(self, path: Path | None, config: str) -> None:
        self._path = path
        self._fingerprint = hashlib.sha256(config.encode()).hexdigest()
        self._kept: Ledger | None = None

    @property
    def durable(self) -> bool:
        """Whether saving waits for a disk."""
        return self._path is not None

    def load(self) -> Ledger | None:
        """What was saved last; None where nothing was, or under another configuration. VenueUnavailable when unreadable."""
        if self._path is None:
            return self._kept
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(str(error)) from error
        try:
            document = json.loads(text)
            if document["version"] != _VERSION:
                raise self._unreadable(f"its version is {document['version']}, not {_VERSION}")
            if document["config"] != self._fingerprint:
                log.warning("paper.started_over", file=str(self._path), reason="its configured account or feed was changed")
                return None
            return _ledger(document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(f"{type(error).__name__}: {error}") from error

    def save(self, ledger: Ledger) -> None:
        """Replace what was saved, durably. OSError leaves the old truth, or the new one, in whole."""
        if self._path is None:
            self._kept = ledger
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {"version": _VERSION, "config": self._fingerprint, **_document(ledger)}
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)  # left by a kill, or planted: never written through
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unreadable(self, why: str) -> VenueUnavailable:
        remedy = "restore it, or move it away to start the account afresh"
        return VenueUnavailable(f"the paper exchange's file {self._path} can't be read ({why}): {remedy}")


def _document(ledger: Ledger) -> dict[str, object]:
    return {
        "at": ledger.at.isoformat(),
        "prices": _texts(ledger.prices),
        "balances": _texts(ledger.account.balances),
        "positions": {
            symbol: {"contracts": str(position.contracts), "entry": str(position.entry), "mark": str(position.mark)}
            for symbol, position in ledger.account.positions.items()
        },
        "orders": {client_id: _order_document(booked) for client_id, booked in ledger.orders.items()},
        "postings": postings_document(ledger.postings),
        "funded_at": None if ledger.funded_at is None else ledger.funded_at.isoformat(),
    }


def _order_document(booked: Booked) -> dict[str, object]:
    report = booked.report
    return {
        "symbol": booked.symbol,
        "order_id": report.order_id,
        "state": report.state,
        "filled": str(report.filled),
        "average": None if report.average is None else str(report.average),
        **_asked_document(booked.asked),
        **({} if booked.changed_at is None else {"changed_at": booked.changed_at.isoformat()}),
        "fills": [
            {
                "trade_id": fill.trade_id,
                "side": fill.side,
                "amount": str(fill.amount),
                "price": str(fill.price),
                "fee": str(fill.fee),
                "fee_asset": fill.fee_asset,
                "at": fill.at.isoformat(),
            }
            for fill in booked.fills
        ],
    }


def _asked_document(asked: Asked | None) -> dict[str, object]:
    if asked is None:
        return {}
    stop = {} if asked.trigger is None else {"trigger": str(asked.trigger)}
    return {"side": asked.side, "amount": str(asked.amount), "at": asked.at.isoformat(), **stop}


def _ledger(document: Any) -> Ledger:
    at = _time(document["at"])
    positions = {
        symbol: Position(
            symbol=symbol,
            contracts=_number(held["contracts"]),
            entry=_number(held["entry"]),
            mark=_number(held["mark"]),
        )
        for symbol, held in document["positions"].items()
    }
    return Ledger(
        account=Account(balances=_numbers(document["balances"]), positions=positions, at=at),
        orders={client_id: _booked(client_id, order) for client_id, order in document["orders"].items()},
        prices=_numbers(document["prices"]),
        at=at,
        postings=tuple(_posting(one) for one in document.get("postings", ())),
        funded_at=_time(document["funded_at"]) if document.get("funded_at") else None,
    )


def _posting(document: Any) -> Posting:
    return Posting(
        id=str(document["id"]),
        kind=PostingKind(document["kind"]),
        at=_time(document["at"]),
        asset=str(document["asset"]),
        amount=_number(document["amount"]),
        symbol=str(document["symbol"]),
    )


def _booked(client_id: str, order: Any) -> Booked:
    symbol = str(order["symbol"])
    report = OrderReport(
        order_id=str(order["order_id"]),
        client_id=client_id,
        state=ChildState(order["state"]),
        filled=_number(order["filled"]),
        average=None if order["average"] is None else _number(order["average"]),
    )
    fills = tuple(
        Fill(
            trade_id=str(fill["trade_id"]),
            symbol=symbol,
            side=Side(fill["side"]),
            amount=_number(fill["amount"]),
            price=_number(fill["price"]),
            fee=_number(fill["fee"]),
            fee_asset=str(fill["fee_asset"]),
            at=_time(fill["at"]),
        )
        for fill in order["fills"]
    )
    changed_at = _time(order["changed_at"]) if "changed_at" in order else None
    return Booked(symbol, report, fills, _asked(order, fills, report.filled), changed_at)


def _asked(order: Any, fills: tuple[Fill, ...], filled: Decimal) -> Asked | None:
    """What was asked; files once kept no more of that than the trades tell."""
    if "at" in order:
        trigger = _number(order["trigger"]) if "trigger" in order else None
        return Asked(Side(order["side"]), _number(order["amount"]), _time(order["at"]), trigger)
    return Asked(fills[0].side, filled, fills[0].at) if fills else None


def _texts(numbers: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: str(number) for name, number in numbers.items()}


def _numbers(texts: Any) -> dict[str, Decimal]:
    return {name: _number(text) for name, text in texts.items()}


def _number(text: Any) -> Decimal:
    if not isinstance(text, str):
        message = f"{text!r} is not a number in quotes"
        raise TypeError(message)
    # not parse_wire: a venue never sends the 34 digits that our own quotients have
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        message = f"{text!r} is no number"
        raise ValueError(message) from error
    if not number.is_finite():
        message = f"{text!r} is not finite"
        raise ValueError(message)
    return number


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.utcoffset() is None:
        message = f"{text} has no zone"
        raise ValueError(message)
    return at.astimezone(UTC)
