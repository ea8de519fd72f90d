"""Deribit's account: what it holds and its positions, read so that no settlement lies between them, and its keys.

Summary and positions are two answers. A settlement, like a trade or a transfer, moves money from the one to the other, so that
a pair with one of those between its halves would count a profit twice or not at all. Positions are read between two summaries,
and believed where these tell the same money.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from keeper.domain.account import Position
from keeper.domain.errors import StaleData
from keeper.domain.inspection import KeyFacts, MarginMode, Modes
from keeper.domain.market import Side
from keeper.domain.numbers import ONE, ZERO, exact
from keeper.venues import parsing
from keeper.venues.concurrency import together
from keeper.venues.speech.base import Speech, Wallet, Wire

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
NOT_SHOWN = frozenset({"11042", "13003", "13009", "13021", "13668"})
"""What a key is told that may not look at keys."""
LOOKS = 2
"""How often positions are read before it is given up that no money moved meanwhile."""
MOVED = ("balance", "futures_session_rpl")
"""What a settlement, a trade or a transfer changes. The worth of options moves by itself, and is left out."""
NEGLIGIBLE = Decimal("0.00001")
"""Fraction of an equity by which these may differ between two summaries: funding is earned by the millisecond."""


class DeribitAccount(Speech):
    """The part of Deribit's words that is about the account."""

    async def check_account(self, wire: Wire) -> None:
        """The keys are good, and may look at the account and at its orders."""
        await together(self.summaries(wire), wire.ask("privateGetGetOpenOrders"))

    async def wallet(self, wire: Wire) -> Wallet:
        """Balances, and what was realised since the last settlement.

        Where all currencies together are the collateral, what is free is dollars; where only one is held it is that one's; else
        there is no one figure.
        """
        return _wallet(wire, await self.summaries(wire))

    async def holdings(self, wire: Wire) -> tuple[Wallet, Mapping[str, Position]]:
        """Positions, and the wallet as two summaries around them agree on it."""
        before = await self.summaries(wire)
        for _ in range(LOOKS):
            positions = await self.positions(wire)
            after = await self.summaries(wire)
            if _is_still(before, after):
                return _wallet(wire, after), positions
            before = after
        raise StaleData("money moves between the account's balances and its positions: a settlement, a trade or a transfer")

    async def summaries(self, wire: Wire) -> list[Any]:
        """One for each currency."""
        answer = result(await wire.ask("privateGetGetAccountSummaries", extended="true"))
        return parsing.rows(parsing.part(answer, "summaries"), "currencies")

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """In every currency. Their entry is what floating profit counts from: the last settlement, or what was paid since."""
        held: dict[str, Position] = {}
        for row in parsing.rows(result(await wire.ask("privateGetGetPositions", currency="any")), "positions"):
            size = parsing.number(row, "size")
            if not size:
                continue
            if (size > 0) is not (parsing.chosen(row, "direction", SIDES) is Side.BUY):
                raise StaleData("the venue's answer has a position of one direction whose size has the other's sign")
            symbol = wire.contract(parsing.word(row, "instrument_name"))
            if symbol in held:
                raise StaleData(f"the venue's answer has two positions of {symbol}")
            held[symbol] = self._position(wire, symbol, row, size)
        return held

    def _position(self, wire: Wire, symbol: str, row: object, size: Decimal) -> Position:
        mark = parsing.positive(row, "mark_price")
        entry = parsing.positive(row, "average_price")
        if symbol in wire.exchange.markets and wire.entry(symbol).get("swap"):
            inverse = bool(wire.entry(symbol)["inverse"])
            coins = parsing.number(row, "size_currency")
            if not coins or (coins > 0) is not (size > 0):
                raise StaleData(f"the venue's answer has a position of {size}, which it says are {coins} coins")
            size = size if inverse else coins
            entry = _entry(size, mark, parsing.number(row, "floating_profit_loss"), inverse=inverse)
        raw = cast("dict[str, Any]", row).get("estimated_liquidation_price")
        liquidation = None if raw is None else parsing.not_negative(raw, "estimated_liquidation_price") or None
        return Position(symbol=symbol, contracts=size, entry=entry, mark=mark, liquidation=liquidation)

    async def key(self, wire: Wire) -> KeyFacts:
        """Its greatest scope; nothing where the key may not look at keys. Keys do not expire."""
        answer = await wire.find("privateGetListApiKeys", NOT_SHOWN)
        rows = [] if answer is None else parsing.rows(result(answer), "keys")
        own = [row for row in rows if parsing.part(row, "client_id") == wire.exchange.apiKey]
        if not own:
            return KeyFacts()
        scope = parsing.word(own[0], "max_scope").split()
        return KeyFacts(
            may_trade="trade:read_write" in scope,
            may_withdraw="wallet:read_write" in scope,
            ip_bound=bool(own[0].get("ip_whitelist")),
        )

    async def modes(self, _wire: Wire, _symbol: str) -> Modes:
        """Whatever is held in a currency backs all its positions, or all currencies do; there is no leverage setting."""
        return Modes(hedged=False, margin=MarginMode.CROSS)


def result(answer: object) -> Any:
    """What an answer holds that names no error."""
    return parsing.part(answer, "result")


def _wallet(wire: Wire, summaries: list[Any]) -> Wallet:
    held: dict[str, Decimal] = {}
    equities: dict[str, Decimal] = {}
    free: list[Decimal] = []
    for row in summaries:
        asset = wire.asset(parsing.word(row, "currency"))
        if asset in held:
            raise StaleData(f"the venue's answer has two balances of {asset}")
        held[asset] = _settled(row)
        equities[asset] = parsing.number(row, "equity")
        if parsing.part(row, "cross_collateral_enabled") is True:
            free = [_left(row)]
        elif held[asset] or equities[asset]:
            free.append(parsing.number(row, "available_funds"))
    return Wallet(
        balances={asset: amount for asset, amount in held.items() if amount},
        free_margin=free[0] if len(free) == 1 else None,
        equities=equities,
    )


def _is_still(before: list[Any], after: list[Any]) -> bool:
    """Whether two answers tell the same money in every currency, but for what funding comes to meanwhile."""
    earlier, later = ({parsing.word(row, "currency"): row for row in rows} for rows in (before, after))
    return earlier.keys() == later.keys() and all(_agree(earlier[name], row) for name, row in later.items())


@exact
def _agree(before: object, after: object) -> bool:
    allowed = NEGLIGIBLE * abs(parsing.number(after, "equity"))
    return all(abs(parsing.number(after, name) - parsing.number(before, name)) <= allowed for name in MOVED)


@exact
def _settled(row: object) -> Decimal:
    """What a currency comes to without floating profit."""
    return sum((parsing.number(row, name) for name in ("balance", "futures_session_rpl", "options_value")), ZERO)


@exact
def _left(row: object) -> Decimal:
    return parsing.number(row, "total_margin_balance_usd") - parsing.number(row, "total_initial_margin_usd")


@exact
def _entry(contracts: Decimal, mark: Decimal, profit: Decimal, *, inverse: bool) -> Decimal:
    """The price from which ``contracts`` (signed) have made ``profit`` at ``mark``. StaleData where there is no such price."""
    price = ZERO
    if inverse:
        reciprocal = ONE / mark + profit / contracts
        price = ONE / reciprocal if reciprocal > 0 else ZERO
    elif contracts:
        price = mark - profit / contracts
    if not price > 0:
        raise StaleData(f"a position of {contracts} at {mark} can't have a floating profit of {profit}")
    return price
