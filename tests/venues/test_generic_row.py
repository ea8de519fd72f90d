import pytest

from keeper.domain.errors import ConfigError, VenueRefused
from keeper.ports import Environment
from keeper.venues.dialects import DIALECTS, dialect_of
from keeper.venues.dialects.generic import generic
from keeper.venues.speech.unified import NEEDED, PAST, missing

ABLE = dict.fromkeys((*NEEDED, *PAST), True)


@pytest.mark.parametrize("lacking", NEEDED)
def test_what_an_exchange_lacks_is_named(lacking: str) -> None:
    assert missing(ABLE) == ()
    assert missing(ABLE | {lacking: None}) == (lacking,)
    assert missing(ABLE | {lacking: "emulated"}) == ()


def test_one_way_to_ask_for_the_past_will_do() -> None:
    assert missing(ABLE | {"fetchOrders": False}) == missing(ABLE | {"fetchClosedOrders": False}) == ()
    assert missing(ABLE | dict.fromkeys(PAST, False)) == ("fetchOrders or fetchClosedOrders",)


def test_a_row_is_made_of_what_ccxt_tells() -> None:
    row = generic("binanceus")
    assert "api.binance.us" in row.hosts[Environment.LIVE]
    assert row.hosts[Environment.TESTNET] == {"testnet.binance.vision", "testnet.binancefuture.com"}
    assert dict(row.credentials) == {"api_key": "apiKey", "secret": "secret"}
    assert not row.rejections


def test_an_exchange_that_can_not_do_enough_is_refused_with_what_is_missing() -> None:
    with pytest.raises(VenueRefused, match="fetchTime"):
        generic("bitbank")
    with pytest.raises(ConfigError, match=r"fetchTime.*binanceusdm"):
        dialect_of("v", "bitbank", Environment.LIVE)


def test_no_testnet_is_offered_where_it_would_share_a_host_with_live() -> None:
    import ccxt.async_support

    for exchange in ccxt.async_support.exchanges:
        try:
            row = DIALECTS.get(exchange) or generic(exchange)
        except VenueRefused:
            continue
        if exchange not in DIALECTS and Environment.TESTNET in row.hosts:
            assert not row.hosts[Environment.TESTNET] & row.hosts[Environment.LIVE]
