"""How funds stand: what they may do, what they held at rest, when their schedule was first followed. Decides nothing.

Beside them, what the markets of an account are: pinned by the first process that trades there, and anew only where a human
accepts a change.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import cast

from sqlalchemy import Connection, bindparam, insert, select, update

from keeper.domain.errors import InvariantViolation
from keeper.domain.fund import FirstStart, Footing, FundState, Neighbour, Settled, Standing
from keeper.journal import children, events
from keeper.journal.columns import plain_value
from keeper.journal.events import Chain
from keeper.journal.schema import first_starts, fund_states, pins, runs, settled
from keeper.journal.statements import Statement

_STATE = Statement(select(fund_states).where(fund_states.c.fund == bindparam("of_fund")))
_TRADED_LAST = (
    select(runs.c.account).where(runs.c.fund == fund_states.c.fund).order_by(runs.c.event.desc()).limit(1).scalar_subquery()
)
_HALTED_BESIDE = Statement(
    select(fund_states.c.fund).where(
        fund_states.c.fund != bindparam("of_fund"),
        fund_states.c.state == FundState.HALTED,
        bindparam("of_account") == _TRADED_LAST,
    )
)
_ADD_STATE = Statement(insert(fund_states))
_CHANGE_STATE = Statement(update(fund_states).where(fund_states.c.fund == bindparam("of_fund")))
_START = Statement(select(first_starts).where(first_starts.c.fund == bindparam("of_fund")))
_ADD_START = Statement(insert(first_starts))
_OF_MARKET = settled.c.fund == bindparam("of_fund"), settled.c.symbol == bindparam("of_symbol")
_SETTLED = Statement(select(settled).where(settled.c.fund == bindparam("of_fund")).order_by(settled.c.symbol))
_ADD_SETTLED = Statement(insert(settled))
_CHANGE_SETTLED = Statement(update(settled).where(*_OF_MARKET))
_OF_PIN = pins.c.account == bindparam("of_account"), pins.c.symbol == bindparam("of_symbol")
_PIN = Statement(select(pins.c.identity).where(*_OF_PIN))
_PINS = Statement(select(pins).where(pins.c.account == bindparam("of_account")).order_by(pins.c.symbol))
_CHANGE_PIN = Statement(update(pins).where(*_OF_PIN))
_ADD_PIN = Statement(insert(pins))


def standing(connection: Connection, fund: str) -> Standing:
    """How a fund stands; active where nothing was ever recorded."""
    return _standing(connection, fund) or Standing(fund=fund)


def footing(connection: Connection, fund: str, run: str, now: datetime) -> Footing:
    """What the gate must know of a fund, as of one moment."""
    return Footing(
        standing=standing(connection, fund),
        open_children=children.open_of_fund(connection, fund),
        usage=children.usage(connection, fund, run, now),
    )


def neighbours(connection: Connection, fund: str, account: str) -> tuple[Neighbour, ...]:
    """Funds of other names that are halted and traded ``account`` last, or have open children there, by name."""
    halted = {row["fund"] for row in _HALTED_BESIDE.all(connection, of_fund=fund, of_account=account)}
    unsettled = children.open_of_others(connection, fund, account)
    return tuple(
        Neighbour(fund=name, halted=name in halted, unsettled=unsettled.get(name, ()))
        for name in sorted(halted | unsettled.keys())
    )


def set_state(
    chain: Chain, fund: str, state: FundState, *, reason: str, at: datetime, cause: str, expected: Standing | None = None
) -> bool:
    """Halt a fund, bind it to reductions, or let it trade; where a human does the latter, breakers count anew.

    False, and nothing written, where it does not stand as ``expected`` any more.
    """
    if expected is not None and _word(standing(chain.connection, fund)) != _word(expected):
        return False
    cleared = {"cleared_at": at} if state is FundState.ACTIVE and not cause else {}
    _change(chain, fund, at, {"state": state, "reason": reason, "cause": cause, "at": at, **cleared})
    return True


def set_trouble(chain: Chain, fund: str, trouble: str, *, at: datetime) -> None:
    """Record what keeps the process that trades a fund from its work; empty when nothing does any more."""
    _change(chain, fund, at, {"trouble": trouble})


def first_start(chain: Chain, start: FirstStart) -> FirstStart:
    """Record a fund's first start, unless that was done before; what stands is returned."""
    found = _START.one(chain.connection, of_fund=start.fund)
    if found is not None:
        return FirstStart(fund=found["fund"], seed=found["seed"], since=found["since"])
    row = asdict(start)
    payload = events.booked(first_starts, row)
    seq = chain.append(at=start.since, kind=events.FUND_STARTED, fund=start.fund, run="", payload=payload)
    _ADD_START.run(chain.connection, event=seq, **row)
    return start


def record_settled(chain: Chain, fund: str, run: str, held: Mapping[str, Decimal], *, at: datetime, account: str) -> None:
    """Record what a fund holds of each market on an account that stands still.

    A market that is not named keeps its row, which says nothing from here on.
    """
    if not held:
        return
    about: dict[str, object] = {"fund": fund, "run": run, "at": at, "account": account}
    rows = [{**about, "symbol": symbol, "contracts": contracts} for symbol, contracts in held.items()]
    before = {row["symbol"] for row in _SETTLED.all(chain.connection, of_fund=fund)}
    payload = events.booked(settled, *rows)
    seq = chain.append(at=at, kind=events.FUND_SETTLED, fund=fund, run=run, payload=payload)
    for row in rows:
        if row["symbol"] in before:
            _CHANGE_SETTLED.run(chain.connection, of_fund=fund, of_symbol=row["symbol"], **row)
        else:
            _ADD_SETTLED.run(chain.connection, event=seq, **row)


def settled_of(connection: Connection, fund: str, account: str) -> dict[str, Settled]:
    """What a fund last held on ``account`` as it stood still, by symbol; nothing where it was last settled on another one.

    Rows that are older than the last record are of markets that it did not name: nobody has watched those since.
    """
    found = _SETTLED.all(connection, of_fund=fund)
    if not found:
        return {}
    _, last = events.last_of(connection, fund, events.FUND_SETTLED)
    return {
        row["symbol"]: Settled(symbol=row["symbol"], contracts=row["contracts"], at=row["at"])
        for row in found
        if row["at"] == last and row["account"] in ("", account)
    }


def pin(chain: Chain, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> Mapping[str, object]:
    """Record what a market of an account is, unless that was done before; what stands is returned, in JSON's own types."""
    found = _PIN.one(chain.connection, of_account=account, of_symbol=symbol)
    if found is not None:
        return cast("Mapping[str, object]", found["identity"])
    row: dict[str, object] = {"account": account, "symbol": symbol, "identity": identity, "at": at}
    payload = events.booked(pins, row)
    seq = chain.append(at=at, kind=events.MARKET_PINNED, fund="", run="", payload=payload)
    _ADD_PIN.run(chain.connection, event=seq, **row)
    return cast("Mapping[str, object]", plain_value(identity))


def pins_of(connection: Connection, account: str) -> dict[str, Mapping[str, object]]:
    """What the markets of an account are on record to be, by symbol, in JSON's own types."""
    return {row["symbol"]: row["identity"] for row in _PINS.all(connection, of_account=account)}


def repin(chain: Chain, account: str, symbol: str, identity: Mapping[str, object], *, at: datetime) -> None:
    """Record what a market of an account has become. InvariantViolation where nothing is on record of it."""
    changes: dict[str, object] = {"identity": identity, "at": at}
    if _CHANGE_PIN.run(chain.connection, of_account=account, of_symbol=symbol, **changes) != 1:
        message = f"{symbol} was never pinned on {account}"
        raise InvariantViolation(message)
    payload = events.booked(pins, {"account": account, "symbol": symbol, **changes})
    chain.append(at=at, kind=events.MARKET_PINNED, fund="", run="", payload=payload)


def _word(said: Standing) -> tuple[object, ...]:
    """What was said of a fund last, and when."""
    return said.state, said.reason, said.cause, said.at


def _standing(connection: Connection, fund: str) -> Standing | None:
    row = _STATE.one(connection, of_fund=fund)
    if row is None:
        return None
    del row["event"]
    return Standing(**row)


def _change(chain: Chain, fund: str, at: datetime, changes: dict[str, object]) -> None:
    known = _standing(chain.connection, fund) is not None
    row = {"fund": fund, **changes} if known else asdict(Standing(fund=fund)) | changes
    payload = events.booked(fund_states, row)
    seq = chain.append(at=at, kind=events.FUND_CHANGED, fund=fund, run="", payload=payload)
    if known:
        _CHANGE_STATE.run(chain.connection, of_fund=fund, **changes)
    else:
        _ADD_STATE.run(chain.connection, event=seq, **row)
