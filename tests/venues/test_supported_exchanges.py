from keeper.domain.inspection import Setting
from keeper.settings.addresses import SUPPORTED
from keeper.venues.dialects import DIALECTS


def test_what_may_be_configured_is_what_has_a_dialect() -> None:
    assert {name: tuple(row.credentials) for name, row in DIALECTS.items()} == SUPPORTED


def test_an_exchange_that_has_modes_says_where_they_are_set() -> None:
    none = {"binance", "kraken", "deribit"}  # spot, or nothing to set
    for row in DIALECTS.values():
        assert set(row.by_hand) == (set() if row.exchange in none else set(Setting)), row.exchange
        assert all(".com" in words or ".xyz" in words for words in row.by_hand.values())
