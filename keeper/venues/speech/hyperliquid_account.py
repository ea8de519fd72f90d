"""What Hyperliquid tells of an account, which anybody may ask for by its address, and of the wallet that signs for it.

Only the perpetuals' account counts: what lies in the spot account is no margin and is left out, and an account that unites both
is refused.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from keeper.domain.account import Position
from keeper.domain.errors import StaleData, UnfitAccount, VenueRefused
from keeper.domain.inspection import Bracket, FeeRates, KeyFacts, MarginMode, Modes
from keeper.domain.numbers import ONE, exact
from keeper.venues import listing, parsing
from keeper.venues.speech.base import Speech, Wallet, Wire

USDC = "USDC"
MARGIN_MODES = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
SEPARATE = {"default": True, "disabled": True, "dexAbstraction": True, "unifiedAccount": False, "portfolioMargin": False}
"""Whether the account of perpetuals has collateral of its own, by what the venue calls it."""
UNFIT = {
    "missing": "there is no such account here: deposit to it first, or check address and environment",
    "agent": "it is the address of an API wallet: name the account that the wallet acts for",
    "vault": "it is a vault, which Keeper can't trade for: name an account",
    "subAccount": "it is a sub-account, which Keeper can't sign for: name a main account",
}
"""What an address may be beside the user's account that is asked for."""
_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


class HyperliquidAccount(Speech):
    """One account of perpetuals, in USDC."""

    def check_keys(self, credentials: Mapping[str, str]) -> None:
        """A private key that can sign."""
        if not _KEY.fullmatch(credentials["private_key"]):
            raise VenueRefused("private_key", "the private key is not 64 hexadecimal digits: check its file")

    async def check_account(self, wire: Wire) -> None:
        """That there is such an account, with margin of its own, and that the key is its own or an API wallet's of it."""
        user, signer = user_of(wire), signer_of(wire)
        role = parsing.word(await info(wire, "userRole", user=user), "role")
        if role in UNFIT:
            raise VenueRefused(role, f"wallet_address: {UNFIT[role]}")
        if role != "user":
            raise StaleData(f"the venue calls the account {role[:40]}, which Keeper does not know")
        if signer != user and not _acts_for(await info(wire, "userRole", user=signer), user):
            remedy = "approve it as an API wallet of the account, or check private key, address and environment"
            raise VenueRefused("signer", f"the private key is that of {signer}, which may not act for {user} here: {remedy}")
        union = await info(wire, "userAbstraction", user=user)
        mode = union.strip('"') if isinstance(union, str) else union
        if not parsing.chosen({"account mode": mode}, "account mode", SEPARATE):
            remedy = "switch unified account or portfolio margin off: Keeper can't tell its margin from spot balances"
            raise UnfitAccount("account_mode", f"the account is in mode {mode}: {remedy}")

    async def wallet(self, wire: Wire) -> Wallet:
        """What the account is worth less the open profits; free is what no cross position binds."""
        told = await info(wire, "clearinghouseState", user=user_of(wire))
        worth = parsing.number(parsing.part(told, "marginSummary"), "accountValue")
        cross = parsing.part(told, "crossMarginSummary")
        cash = worth
        for position in _positions(told):
            cash = parsing.added(cash, -parsing.number(position, "unrealizedPnl"))
        free = parsing.added(parsing.number(cross, "accountValue"), -parsing.number(cross, "totalMarginUsed"))
        return Wallet(balances={USDC: cash} if cash else {}, free_margin=free, equities={USDC: worth})

    async def positions(self, wire: Wire) -> Mapping[str, Position]:
        """Entry and mark are what the position's value and open profit come to, since an entry price is told rounded."""
        held: dict[str, Position] = {}
        for position in _positions(await info(wire, "clearinghouseState", user=user_of(wire))):
            name = symbols_of(wire)(parsing.word(position, "coin"))
            contracts = parsing.number(position, "szi")
            if not contracts:
                continue
            if name in held:
                raise parsing.hedge_mode()
            value, profit = parsing.positive(position, "positionValue"), parsing.number(position, "unrealizedPnl")
            raw = parsing.part(position, "liquidationPx")
            held[name] = Position(
                symbol=name,
                contracts=contracts,
                entry=_entry(contracts, value, profit),
                mark=listing.quotient(value, abs(contracts)),
                liquidation=None if raw is None else parsing.not_negative(raw, "liquidationPx") or None,
            )
        return held

    async def key(self, wire: Wire) -> KeyFacts:
        """An API wallet can't withdraw and may end; the account's own key can do everything for ever."""
        user, signer = user_of(wire), signer_of(wire)
        if signer == user:
            return KeyFacts(may_trade=True, may_withdraw=True, ip_bound=False)
        agents = parsing.rows(await info(wire, "extraAgents", user=user), "API wallets")
        ends = [parsing.part(one, "validUntil") for one in agents if parsing.word(one, "address").lower() == signer]
        expires = parsing.instant(ends[0], "end of the API wallet") if ends else None
        acts = _acts_for(await info(wire, "userRole", user=signer), user)
        return KeyFacts(may_trade=acts, may_withdraw=False, ip_bound=False, expires_at=expires)

    async def modes(self, wire: Wire, symbol: str) -> Modes:
        """Every market has one position."""
        coin = coin_of(wire, symbol)
        answer = parsing.about(await info(wire, "activeAssetData", user=user_of(wire), coin=coin), coin, "coin")
        set_to = parsing.part(answer, "leverage")
        return Modes(
            hedged=False, margin=parsing.chosen(set_to, "type", MARGIN_MODES), leverage=parsing.positive(set_to, "value")
        )

    async def fees(self, wire: Wire, _symbol: str) -> FeeRates:
        """Rates of the account, without a referrer's discount."""
        answer = await info(wire, "userFees", user=user_of(wire))
        return FeeRates(taker=parsing.number(answer, "userCrossRate"), maker=parsing.number(answer, "userAddRate"))

    async def brackets(self, wire: Wire, symbol: str) -> tuple[Bracket, ...]:
        """Margin tiers; the maintenance margin is half of the initial one at the tier's highest leverage."""
        coin = coin_of(wire, symbol)
        meta = await info(wire, "meta")
        [known] = [one for one in parsing.rows(parsing.part(meta, "universe"), "markets") if parsing.word(one, "name") == coin]
        tables = dict(parsing.rows(parsing.part(meta, "marginTables"), "margin tables"))
        table = tables.get(known.get("marginTableId"))
        if table is None:
            return (_bracket(None, parsing.positive(known, "maxLeverage")),)
        tiers = parsing.rows(parsing.part(table, "marginTiers"), "margin tiers")
        starts = [parsing.not_negative(parsing.part(tier, "lowerBound"), "lowerBound") for tier in tiers]
        ends = [*starts[1:], None]
        return tuple(_bracket(end, parsing.positive(tier, "maxLeverage")) for tier, end in zip(tiers, ends, strict=True))


async def info(wire: Wire, kind: str, **parameters: object) -> Any:
    """The answer to a question of a kind, unread."""
    return await wire.ask("publicPostInfo", type=kind, **parameters)


def user_of(wire: Wire) -> str:
    """The address of the account."""
    return str(wire.exchange.walletAddress).lower()


def signer_of(wire: Wire) -> str:
    """The address that the private key signs for."""
    return str(wire.exchange.eth_get_address_from_private_key(str(wire.exchange.privateKey))).lower()


def coin_of(wire: Wire, symbol: str) -> str:
    """The venue's name of a market."""
    return str(wire.entry(symbol)["baseName"])


def symbols_of(wire: Wire) -> Callable[[str], str]:
    """What turns the venue's name of a market into ccxt's, or leaves it where ccxt has none."""

    def name(coin: str) -> str:
        found = str(wire.exchange.coin_to_market_id(coin))
        return found if found in wire.exchange.markets else coin

    return name


def _acts_for(told: object, user: str) -> bool:
    return parsing.word(told, "role") == "agent" and parsing.word(parsing.part(told, "data"), "user").lower() == user


def _positions(told: object) -> list[Any]:
    """Positions of an account. VenueRefused where a market may have two."""
    found = parsing.rows(parsing.part(told, "assetPositions"), "positions")
    if any(parsing.word(one, "type") != "oneWay" for one in found):
        raise parsing.hedge_mode()
    return [parsing.part(one, "position") for one in found]


@exact
def _entry(contracts: Decimal, value: Decimal, profit: Decimal) -> Decimal:
    """The price at which a position of ``value`` has no profit."""
    return (value - profit if contracts > 0 else value + profit) / abs(contracts)


@exact
def _bracket(up_to: Decimal | None, leverage: Decimal) -> Bracket:
    return Bracket(up_to=up_to, max_leverage=leverage, maintenance=ONE / (2 * leverage))
