"""Whether the figures that a decision rests on are figures at all: finite, and positive where they must be. Pure.

It judges no size, no price and no risk; a snapshot in which one figure fails is refused whole, since nobody knows which of
the others to believe.
"""

from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal

from keeper.domain.account import Account
from keeper.domain.fund import Usage
from keeper.domain.market import Market
from keeper.domain.numbers import ZERO
from keeper.domain.observation import Observation


def unsound(observation: Observation) -> tuple[str, ...]:
    """What in ``observation`` is no figure, in words; empty when all of it can be reckoned with. Books judge themselves."""
    return tuple(_account(observation.account)) + tuple(
        words for symbol, market in observation.markets.items() for words in (*_market(market), *_prices(observation, symbol))
    )


def unfit(value: object) -> tuple[str, ...]:
    """The fields of a dataclass that hold a Decimal which is not finite and at least 0, in words."""
    return tuple(
        f"{field.name} is {figure}"
        for field in fields(value)  # type: ignore[arg-type] # any dataclass
        if isinstance(figure := getattr(value, field.name), Decimal) and not _is_at_least_zero(figure)
    )


def unsound_usage(usage: Usage) -> tuple[str, ...]:
    """The figures of ``usage`` that are none, in words."""
    counts = (usage.orders_run, usage.orders_hour, usage.orders_day)
    return (*unfit(usage), *(f"a count of orders is {count}" for count in counts if count < 0))


def _account(account: Account) -> Iterator[str]:
    for asset, amount in account.balances.items():
        if not amount.is_finite():
            yield f"the balance of {asset} is {amount}"
    for symbol, position in account.positions.items():
        if not position.contracts.is_finite():
            yield f"the position in {symbol} is {position.contracts}"
        for name, price in (("entry", position.entry), ("mark", position.mark), ("liquidation price", position.liquidation)):
            if price is not None and not _is_positive(price):
                yield f"the {name} of the position in {symbol} is {price}"
    if account.free_margin is not None and not account.free_margin.is_finite():
        yield f"the free margin is {account.free_margin}"


def _market(market: Market) -> Iterator[str]:
    for name, figure in (("contract size", market.contract_size), ("tick", market.tick), ("lot", market.lot)):
        if not _is_positive(figure):
            yield f"the {name} of {market.symbol} is {figure}"
    for name, figure in (("minimum amount", market.min_amount), ("minimum cost", market.min_cost)):
        if not _is_at_least_zero(figure):
            yield f"the {name} of {market.symbol} is {figure}"


def _prices(observation: Observation, symbol: str) -> Iterator[str]:
    quote = observation.quotes[symbol]
    for name, price in (("mark", quote.mark), ("index", quote.index), ("last price", quote.last)):
        if price is not None and not _is_positive(price):
            yield f"the {name} of {symbol} is {price}"


def _is_positive(figure: Decimal) -> bool:
    return figure.is_finite() and figure > ZERO


def _is_at_least_zero(figure: Decimal) -> bool:
    return figure.is_finite() and figure >= ZERO
