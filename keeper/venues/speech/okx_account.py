"""OKX's trading account: its mode, what it holds, its positions, its keys, fees and leverage.

Account modes (acctLv): 1 spot, 2 futures, 3 multi-currency margin, 4 portfolio margin. Only the first two take a spot order that
can't borrow; the first has no perpetuals. A position's margin mode is that of the orders that made it (tdMode), and two positions
of one market may stand side by side, one with each: Keeper's orders are cross, and isolated where an isolated one is held.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.errors import StaleData, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.numbers import ZERO, exact
from keeper.venues import parsing
from keeper.venues.concurrency import together
from keeper.venues.speech.base import Speech, Wallet, Wire

LEVEL, BORROWS, ISOLATED = "account mode", "spot borrows", "isolated"
"""What is noted of an account on a connection."""
SPOT_MODE = "1"
LEVELS = {SPOT_MODE: "spot", "2": "futures", "3": "multi-currency margin", "4": "portfolio margin"}
SPOT_LEVELS = (SPOT_MODE, "2")
HEDGED = {"net_mode": False, "long_short_mode": True}
MARGIN_MODES = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
SIDED = {"net": False, "long": True, "short": True}
CONTRACTS = {"SWAP": True, "FUTURES": True, "MARGIN": False, "OPTION": False}
"""Kinds of positions, and whether Keeper can read them."""
FEES = {"USDT": ("takerU", "makerU"), "USDC": ("takerUSDC", "makerUSDC")}
"""Where the rates of perpetuals stand, by what they settle in; of others, taker and maker."""


class OkxAccount(Speech):
    """The part of OKX's words that is about the account."""

    async def check_account(self, wire: Wire) -> None:
        """The account's configuration: a key that may trade, net positions; its mode is noted for the orders to come."""
        config = the_one(await wire.ask("privateGetAccountConfig"), "configurations")
        if "trade" not in _permissions(config):
            raise VenueRefused("no_trade", "the API key may only read: give it the permission to trade, or use another key")
        level = parsing.part(config, "acctLv")
        parsing.chosen(config, "acctLv", LEVELS)
        wire.notes[LEVEL] = level
        wire.notes[BORROWS] = level == SPOT_MODE and parsing.part(config, "enableSpotBorrow") is not False
        if _is_hedged(config):
            raise parsing.hedge_mode()

    def check_market(self, wire: Wire, symbol: str) -> None:
        """The account's mode must have the market, and not borrow for it."""
        if LEVEL in wire.notes:
            self.posture(wire, symbol)

    def account_mode(self, wire: Wire) -> str:
        """Of LEVELS."""
        level = wire.notes.get(LEVEL)
        return "" if level is None else f"{LEVELS[level]} mode"

    def posture(self, wire: Wire, symbol: str) -> dict[str, object]:
        """The trade mode (tdMode) that goes with the account's mode and, on perpetuals, with the position that is held."""
        level = wire.notes.get(LEVEL)
        if level is None:
            raise StaleData("the account's mode was not read")
        if not wire.entry(symbol).get("spot"):
            if level == SPOT_MODE:
                raise _unfit("account_mode", "in spot mode, which has no perpetuals: switch it to futures mode", symbol)
            return {"tdMode": trade_mode(wire, symbol)}
        if level not in SPOT_LEVELS:
            words = f"in {LEVELS[level]} mode, in which a spot order may borrow: switch it to spot or futures mode"
            raise _unfit("account_mode", words, symbol)
        if wire.notes.get(BORROWS):
            raise _unfit("spot_borrow", "one that may borrow for spot orders: switch that off", symbol)
        return {"tdMode": "cash"}

    async def wallet(self, wire: Wire) -> Wallet:
        """Cash and the margin put aside for isolated positions; equities without what trading bots hold.

        Free margin is in USD: of all assets together in the modes that pool them, else the sum of what each has free.
        """
        account = the_one(await wire.ask("privateGetAccountBalance"), "balances")
        held: dict[str, Decimal] = {}
        equities: dict[str, Decimal] = {}
        free: list[Decimal] = []
        for row in parsing.rows(parsing.part(account, "details"), "balances"):
            asset = wire.asset(parsing.word(row, "ccy"))
            if asset in held:
                raise StaleData(f"the venue's answer has two balances of {asset}")
            equity, bots = parsing.number(row, "eq"), _number(row, "stgyEq") or ZERO
            held[asset] = _without_profit(parsing.number(row, "cashBal"), _isolated_margin(row))
            equities[asset] = _less(equity, bots)
            if (left := _number(row, "availEq")) is not None:
                free.append(_in_usd(left, parsing.number(row, "eqUsd"), equity))
        pooled = _number({"availEq": "", **account}, "availEq")  # not every account is told one
        return Wallet(
            balances={asset: amount for asset, amount in held.items() if amount},
            free_margin=pooled if pooled is not None else _total(free) if free else None,
            equities=equities,
        )

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """Positions, cross and isolated; refused are a hedged account, one market held both ways, margin on spot, options."""
        held: dict[str, Position] = {}
        isolated: set[str] = set()
        for row in answered(await wire.ask("privateGetAccountPositions"), "positions"):
            market, contracts = parsing.word(row, "instId"), parsing.number(row, "pos")
            if not contracts:
                continue
            if not parsing.chosen(row, "instType", CONTRACTS):
                remedy = f"the account holds {market} on margin or as an option, which Keeper can't read: close it first"
                raise VenueRefused("position_kind", remedy)
            if parsing.chosen(row, "posSide", SIDED):
                raise parsing.hedge_mode()
            name = wire.contract(market)
            if name in held:
                remedy = f"{market} is held twice, with cross and with isolated margin: close one of the two positions"
                raise VenueRefused("margin_modes", remedy)
            if parsing.chosen(row, "mgnMode", MARGIN_MODES) is MarginMode.ISOLATED:
                isolated.add(name)
            held[name] = Position(
                symbol=name,
                contracts=contracts,
                entry=parsing.positive(row, "avgPx"),
                mark=parsing.positive(row, "markPx"),
                liquidation=_liquidation(row),
            )
        wire.notes[ISOLATED] = frozenset(isolated)
        return held

    async def key(self, wire: Wire) -> KeyFacts:
        """Perm and ip of the account's configuration. A key without addresses is deleted after 14 days of rest."""
        config = the_one(await wire.ask("privateGetAccountConfig"), "configurations")
        may = _permissions(config)
        return KeyFacts(may_trade="trade" in may, may_withdraw="withdraw" in may, ip_bound=bool(text(config, "ip")))

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """Position mode; the margin mode of Keeper's orders in this market, and the leverage that is set for it."""
        answer, _positions = await together(wire.ask("privateGetAccountConfig"), self.positions(wire))
        config = the_one(answer, "configurations")
        if wire.entry(symbol).get("spot") or parsing.part(config, "acctLv") == SPOT_MODE:
            return Modes(hedged=_is_hedged(config))
        market = wire.market_id(symbol)
        margin = trade_mode(wire, symbol)
        told = await wire.ask("privateGetAccountLeverageInfo", instId=market, mgnMode=margin)
        row = parsing.about(parsing.about(the_one(told, "leverages"), market, "instId"), margin, "mgnMode")
        return Modes(
            hedged=_is_hedged(config),
            margin=MARGIN_MODES[margin],
            leverage=_number(row, "lever"),
        )

    async def fees(self, wire: Wire, symbol: str) -> FeeRates | None:
        """Trade fee, where what the account pays is negative."""
        entry = wire.entry(symbol)
        info = parsing.part(entry, "info")
        spot = bool(entry.get("spot"))
        asked = {"instId": wire.market_id(symbol)} if spot else {"instFamily": parsing.word(info, "instFamily")}
        row = the_one(await wire.ask("privateGetAccountTradeFee", instType="SPOT" if spot else "SWAP", **asked), "fees")
        names = ("taker", "maker") if spot else FEES.get(parsing.word(info, "settleCcy"), ("taker", "maker"))
        taker, maker = (_number(row, name) for name in names)
        return None if taker is None or maker is None else FeeRates(taker=_less(ZERO, taker), maker=_less(ZERO, maker))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Position tiers, which are told in contracts: at the present mark."""
        entry = wire.entry(symbol)
        if entry.get("spot"):
            return ()
        market, family = self.market(symbol, entry), parsing.word(parsing.part(entry, "info"), "instFamily")
        told, mark = await together(
            wire.ask("publicGetPublicPositionTiers", instType="SWAP", tdMode=trade_mode(wire, symbol), instFamily=family),
            self.mark(wire, symbol),
        )
        rows = [
            Bracket(
                up_to=market.notional(parsing.positive(row, "maxSz"), mark.price),
                max_leverage=parsing.positive(row, "maxLever"),
                maintenance=parsing.positive(row, "mmr"),
            )
            for row in answered(told, "tiers")
        ]
        return tuple(sorted(rows, key=lambda row: row.up_to or ZERO))


def answered(message: object, what: str) -> list[Any]:
    """The rows of an answer that says yes."""
    if parsing.part(message, "code") != "0":
        raise StaleData(f"the venue's answer says neither yes nor no to {what}")
    return parsing.rows(parsing.part(message, "data"), what)


def the_one(message: object, what: str) -> Any:
    """The one row of an answer that says yes."""
    return parsing.only(answered(message, what), what)


def text(message: object, name: str) -> str:
    """What a field says, or nothing ("") where it does not apply."""
    return "" if parsing.part(message, name) == "" else parsing.word(message, name)


def trade_mode(wire: Wire, symbol: str) -> str:
    """Which margin an order of a perpetual has: that of the position which was last seen, cross where there was none."""
    return "isolated" if symbol in wire.notes.get(ISOLATED, ()) else "cross"


def _unfit(code: str, words: str, symbol: str) -> VenueRefused:
    remedy = f"the account is {words} to trade {symbol} (on okx.com, in the settings of the trading page, under account mode)"
    return VenueRefused(code, remedy)


def _is_hedged(config: object) -> bool:
    """Spot mode knows positions of neither kind, whatever the position mode says."""
    return parsing.part(config, "acctLv") != SPOT_MODE and parsing.chosen(config, "posMode", HEDGED)


def _permissions(config: object) -> set[str]:
    return {word.strip() for word in parsing.word(config, "perm").split(",")}


def _number(row: object, name: str) -> Decimal | None:
    """A number, None where it does not apply to this account ("")."""
    raw = parsing.part(row, name)
    return None if raw == "" else parsing.finite(raw, name)


def _isolated_margin(row: object) -> Decimal:
    """What is put aside for isolated positions: it is in no cash balance, and their equity has their open profit in it."""
    equity, profit = _number(row, "isoEq"), _number(row, "isoUpl")
    if (equity is None) is not (profit is None):
        raise StaleData("the venue's answer tells one of isoEq and isoUpl without the other")
    return ZERO if equity is None or profit is None else _less(equity, profit)


def _liquidation(row: object) -> Decimal | None:
    raw = parsing.part(row, "liqPx")
    return None if raw == "" else parsing.not_negative(raw, "liqPx") or None


@exact
def _without_profit(cash: Decimal, aside: Decimal) -> Decimal:
    return cash + aside


@exact
def _less(one: Decimal, other: Decimal) -> Decimal:
    return one - other


@exact
def _in_usd(amount: Decimal, worth: Decimal, equity: Decimal) -> Decimal:
    return amount * worth / equity if equity else ZERO


@exact
def _total(amounts: list[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
