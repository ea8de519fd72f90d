from datetime import UTC, datetime
from decimal import Decimal

import pytest

from keeper.domain.book import Level, OrderBook

AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bid", "ask", "faults"),
    [("100", "101", ()), ("100", "100", ()), ("100.01", "100", ("crossed",))],
    ids=["open", "locked", "crossed"],
)
def test_a_locked_book_is_sane_and_a_crossed_one_is_not(bid: str, ask: str, faults: tuple[str, ...]) -> None:
    book = OrderBook(bids=(Level(Decimal(bid), Decimal(1)),), asks=(Level(Decimal(ask), Decimal(1)),), at=AT)
    assert book.faults() == faults
