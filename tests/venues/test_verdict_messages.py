"""What an operator reads where a read failed: which host, whose word it is, and nothing that does not belong there."""

import json

import pytest
from ccxt.base.errors import AuthenticationError, ExchangeNotAvailable, RequestTimeout
from yarl import URL

from keeper.domain.errors import KeeperError, VenueRefused, VenueUnavailable
from keeper.domain.order import Rejected, Unknown
from keeper.venues.dialects import BINANCE_USDM, DIALECTS, KRAKEN_FUTURES, OKX, Dialect
from keeper.venues.transport import Flight, GuardedSession, Silence, watched
from keeper.venues.verdicts import of_order, of_read
from tests.fakes.loopback_venue import ShiftedClock

HOST = "fapi.binance.com"


def answered(status: int, message: object) -> Flight:
    return Flight(sent=True, asked=f"{HOST}:443", status=status, body=json.dumps(message))


def text(error: KeeperError) -> str:
    return error.message if isinstance(error, VenueRefused) else str(error)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (BINANCE_USDM, {"code": -2015, "msg": "Invalid API-key."}),
        (OKX, {"code": "50111", "msg": "Invalid OK-ACCESS-KEY"}),
        (OKX, {"code": "50027", "msg": "The account is restricted"}),
        (KRAKEN_FUTURES, {"result": "error", "error": "accountInactive"}),
    ],
)
def test_what_is_said_of_the_key_or_the_account_is_not_said_of_what_was_asked(row: Dialect, message: dict[str, object]) -> None:
    error = of_read(row, answered(401, message), "positions", AuthenticationError(""))
    assert isinstance(error, VenueRefused)
    assert error.message.startswith(("the API key", "the account"))


def test_what_is_said_of_a_market_is() -> None:
    error = of_read(BINANCE_USDM, answered(400, {"code": -1121, "msg": "Invalid symbol."}), "book of X", AuthenticationError(""))
    assert text(error) == "book of X: the venue has no such market: check the symbol (the venue says: Invalid symbol.)"


def test_each_exchange_says_what_is_about_us_among_what_it_refuses() -> None:
    for row in DIALECTS.values():
        assert row.about_us, row.exchange
        assert row.about_us <= set(row.refusals), row.exchange
        assert row.unknown_key <= row.about_us, row.exchange


def test_an_exchange_without_words_is_quoted_by_its_code() -> None:
    flight = answered(200, {"result": "error", "error": "authenticationError"})
    read = of_read(KRAKEN_FUTURES, flight, "account", AuthenticationError(""))
    assert text(read).endswith("(the venue says: authenticationError)")
    order = of_order(KRAKEN_FUTURES, flight, AuthenticationError(""))
    assert isinstance(order, Rejected)
    assert order.message.endswith("(the venue says: authenticationError)")
    unknown = answered(200, {"result": "error", "error": "serverOnFire"})
    for said in (
        text(of_read(KRAKEN_FUTURES, unknown, "account", AuthenticationError(""))),
        text(of_read(KRAKEN_FUTURES, unknown, "account", ExchangeNotAvailable(""))),
        str(of_order(KRAKEN_FUTURES, unknown, ExchangeNotAvailable(""))),
    ):
        assert "serverOnFire" in said
        assert ": )" not in said
        assert not said.endswith(": ")


def test_a_host_that_can_t_be_reached_is_named_with_what_to_look_at() -> None:
    lost = ExchangeNotAvailable("secret words")
    lost.__cause__ = ConnectionRefusedError("more of them")
    error = of_read(BINANCE_USDM, Flight(asked=f"{HOST}:443"), "clock", lost)
    assert isinstance(error, VenueUnavailable)
    said = f"clock failed: {HOST}:443 can't be reached (ExchangeNotAvailable, ConnectionRefusedError): "
    assert str(error).startswith(said)
    for remedy in ("DNS", "proxy", "maintenance"):
        assert remedy in str(error)
    assert "words" not in str(error)
    assert "more" not in str(error)


def test_a_host_that_did_not_answer_whole_is_named_and_not_called_out_of_reach() -> None:
    flight = Flight(asked=f"{HOST}:443", sent=True)
    error = of_read(BINANCE_USDM, flight, "clock", RequestTimeout(""))
    assert str(error) == f"clock failed: no whole answer from {HOST}:443 (RequestTimeout)"
    assert of_order(BINANCE_USDM, flight, RequestTimeout("")) == Unknown(f"no whole answer from {HOST}:443 (RequestTimeout)")


@pytest.mark.parametrize(
    ("origins", "asked"),
    [({}, f"{HOST}:443"), ({HOST: "http://127.0.0.1:9"}, f"127.0.0.1:9 (which stands for {HOST})")],
)
async def test_the_session_notes_which_host_was_asked(origins: dict[str, str], asked: str) -> None:
    session = GuardedSession(allowed=frozenset({HOST}), origins=origins, clock=ShiftedClock(), silence=Silence(), bans={})
    try:
        with watched() as flight:
            session.get(URL(f"https://{HOST}/fapi/v1/time")).close()
        assert flight.asked == asked
    finally:
        await session.close()
