"""What an answer or an exception proves. Everything that proves nothing is Unknown for an order, unavailable for a read.

A verdict rests on the raw code of a whole answer, never on the class that ccxt chose: that class looks definitive for a
body cut short. Texts are made here from parts that can't hold a secret; an exception's own text is never shown.
"""

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path

from keeper.domain.errors import KeeperError, StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.order import NEVER_SENT, Outcome, Rejected, Unknown
from keeper.venues.dialects import Dialect
from keeper.venues.transport import Flight

SHOWN = 160
DOWN = 503
UNREACHED = (
    "look whether that name resolves here (DNS), whether a firewall or a proxy is in the way, past which Keeper does not go,"
    " and on the venue's status page whether it is under maintenance"
)
GARBAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, AssertionError, EOFError)


@cache
def wire_faults() -> tuple[type[Exception], ...]:
    """Every class that a call through ccxt may raise: its own, the transport's, and what its parsers do on garbage."""
    import aiohttp
    from ccxt.base.errors import BaseError

    return (BaseError, aiohttp.ClientError, OSError, VenueError, StaleData, *GARBAGE)


def message_of(flight: Flight) -> object:
    """An answer that is whole JSON, else None."""
    try:
        return json.loads(flight.body)
    except ValueError:
        return None


def code_of(dialect: Dialect, flight: Flight) -> tuple[str, str] | None:
    """Code and message of an answer that is whole JSON and says no, else None."""
    told = dialect.speech.refusal(message_of(flight))
    return None if told is None else (told[0][:SHOWN], told[1][:SHOWN])


def of_order(dialect: Dialect, flight: Flight, error: Exception) -> Outcome:
    """What became of an order whose call raised ``error``."""
    if not flight.sent:
        return Rejected(NEVER_SENT, f"the order never left: {_what_kept(flight, error)}")
    coded = code_of(dialect, flight)
    if coded is None:
        return Unknown(_what_happened(flight, error))
    code, said = coded
    if _entry(dialect.duplicate, coded) is not None:
        return Unknown(f"{code}: the venue has an order of this client id already ({said or code})")
    entry = _entry(dialect.rejections, coded)
    if entry is None or flight.status not in dialect.refused_with:
        return Unknown(f"{_what_happened(flight, error)}; {_both(coded)}")
    return Rejected(code, f"{dialect.rejections[entry]} {_told(coded)}")


def says(dialect: Dialect, table: Collection[str], flight: Flight) -> bool:
    """Whether the venue refused a request with one of the codes of ``table``."""
    coded = code_of(dialect, flight)
    return coded is not None and flight.status in dialect.refused_with and _entry(table, coded) is not None


def _entry(table: Collection[str], coded: tuple[str, str]) -> str | None:
    """What a code and its message are in a table of the dialect: code and message together, or else the code alone."""
    code, said = coded
    return next((entry for entry in (f"{code} {said}", code) if entry in table), None)


def _told(coded: tuple[str, str]) -> str:
    """What the venue says itself: its words, or where it has none its code."""
    code, said = coded
    return f"(the venue says: {said or code})"


def _both(coded: tuple[str, str]) -> str:
    return ": ".join(filter(None, coded))


def of_read(dialect: Dialect, flight: Flight, what: str, error: Exception) -> KeeperError:
    """The error to raise for a read of ``what`` that raised ``error``."""
    from ccxt.base import errors

    if isinstance(error, KeeperError):
        return error
    coded = code_of(dialect, flight)
    if coded is not None and (entry := _entry(dialect.refusals, coded)) is not None:
        about = "" if entry in dialect.about_us else f"{what}: "
        return VenueRefused(coded[0], f"{about}{dialect.refusals[entry]} {_told(coded)}")
    definitive = (errors.AuthenticationError, errors.BadSymbol, errors.NotSupported, errors.ArgumentsRequired)
    if isinstance(error, definitive):
        coded = coded or (type(error).__name__, "no reason")
        return VenueRefused(coded[0], f"{what} was refused {_told(coded)}")
    if not isinstance(error, errors.BaseError | OSError) and flight.status is not None:
        return unreadable(what, error)
    said = f"; {_both(coded)}" if coded else ""
    if isinstance(error, errors.OnMaintenance) or flight.status == DOWN:
        said += "; the venue is under maintenance or overloaded: see its status page, and try again later"
    return VenueUnavailable(f"{what} failed: {_what_happened(flight, error)}{said}")


def unreadable(what: str, error: Exception) -> StaleData:
    """The error to raise for an answer to ``what`` on which a parser failed."""
    return StaleData(f"{what}: the venue's answer can't be read ({_reason(error)})")


def _what_happened(flight: Flight, error: Exception) -> str:
    if flight.status is None and flight.asked and not flight.sent:
        return f"{_what_kept(flight, error)}: {UNREACHED}"
    if flight.status is None:
        return f"no whole answer{f' from {flight.asked}' if flight.asked else ''} ({_reason(error)})"
    return f"HTTP {flight.status} ({_reason(error)})"


def _what_kept(flight: Flight, error: Exception) -> str:
    """What kept a request from leaving: the host, or ourselves."""
    if not flight.asked or isinstance(error, (KeeperError, *GARBAGE)):
        return _reason(error)
    # ccxt calls whatever keeps it from a host by one name
    causes = ", ".join(type(one).__name__ for one in (error, error.__cause__) if one is not None)
    return f"{flight.asked} can't be reached ({causes})"


def _reason(error: Exception) -> str:
    if isinstance(error, KeeperError):
        return str(error)
    if not isinstance(error, GARBAGE):
        return type(error).__name__
    # a parser's or our own fault: its text may hold what was parsed, its place does not
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"
