"""Whether the prices of one market agree with each other: where they do not, at least one of them is wrong. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from keeper.domain.numbers import BPS, plain
from keeper.domain.observation import Quote
from keeper.planning.limits import Refusal


def apart(quotes: Mapping[str, Quote], bps: Decimal) -> Iterator[Refusal]:
    """Where mid, index or last price of a market is further than ``bps`` from its mark. A size rests on the marks of all."""
    for symbol, quote in quotes.items():
        mid = None if quote.book.faults() else quote.book.mid
        for code, name, price in (("mark", "mid", mid), ("index", "index", quote.index), ("last", "last price", quote.last)):
            if price is not None and not (abs(price - quote.mark) <= quote.mark * bps / BPS):
                words = f"{name} {plain(price)} and mark {plain(quote.mark)} of {symbol} are further apart than {plain(bps)} bps"
                yield Refusal(code, words)
