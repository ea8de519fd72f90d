"""What differs between exchanges, as facts: one row each. How they are asked is their speech.

Codes that are in no list prove nothing, and an order answered by one of them stays unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from keeper.domain.inspection import Setting
from keeper.ports import Environment
from keeper.venues.speech.base import BOOK_LEVELS, Speech

CLIENT_ERRORS = range(400, 500)
ANY_WHOLE_ANSWER = range(200, 500)
"""For exchanges that say no with HTTP 200."""
KEY_AND_SECRET: Mapping[str, str] = {"api_key": "apiKey", "secret": "secret"}
WITH_PASSPHRASE: Mapping[str, str] = {**KEY_AND_SECRET, "passphrase": "password"}


def on_site(site: str) -> Mapping[Setting, str]:
    """Where a human finds the settings on most exchanges. site: what leads to the exchange's own."""
    form = f"on {site}, above the order form of the market"
    return {
        Setting.POSITION_MODE: f"on {site}, in the settings (the gear) of the futures trading page, under position mode",
        Setting.MARGIN_MODE: f"{form}, where it says cross or isolated",
        Setting.LEVERAGE: f"{form}, where the leverage stands (such as 10x)",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What Keeper follows of an exchange's streams, nothing in an environment that is not named.

    hosts: the only ones whose streams may be opened, by environment; one with a path (``host/path/``) only below that path;
    levels: how deep a book is followed, one of the depths that are offered.
    """

    hosts: Mapping[Environment, frozenset[str]] = field(default_factory=dict)
    levels: int = BOOK_LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one exchange speaks through ccxt.

    Raw codes stand alone in the tables or, where the venue uses one for several things, with what it says to each:
    ``-2010 Market is closed.``; such an entry goes before the code alone.

    exchange: ccxt's id; speech: how it is asked, and read; hosts: the only ones that may be called, by environment;
    testnet_switch: the ccxt method that leaves live trading, called with True, empty where there is none; options: ccxt's, each
    one set for a reason; loading: what its ``load_markets`` is told, likewise;
    credentials: what signs, by the configuration's name, and what ccxt calls it; client_id_shape: a pattern of the client ids
    that it takes; client_id_length: characters of those that Keeper makes; rejections: raw codes that prove an order was not
    taken, and what to do about them; refused_with: HTTP status of an answer that proves it; refusals: raw codes of a read that
    asking again will not cure; about_us: those of them that are about the key or the account, whatever was asked; duplicate:
    raw codes that say that an order of this client id exists; unknown_key: raw codes that a key of another environment is
    refused with, among others; order_life: the longest that a sent order may take to arrive, after which the venue refuses it
    (or, where it has no such rule, after which it is taken to be lost once two lookups say so); read_lag: seconds after which a
    read shows an earlier write; unique_ids: whether the venue refuses a second order of a client id for as long as the first
    one rests; in_turn: whether what is signed must arrive in the order in which it was signed, so that no two such requests
    may be on their way; streams: what is followed of those that it sends by itself; by_hand: where a human changes a
    setting of the account, in words; stops: whether it keeps reduce-only stops that the mark sets off, and Keeper knows how:
    where a fund keeps some, no dead-man switch is armed, which might take them away.
    """

    exchange: str
    speech: Speech
    hosts: Mapping[Environment, frozenset[str]]
    options: Mapping[str, object]
    client_id_shape: str
    rejections: Mapping[str, str]
    refusals: Mapping[str, str]
    duplicate: frozenset[str]
    testnet_switch: str = ""
    loading: Mapping[str, object] = field(default_factory=dict)
    refused_with: range = CLIENT_ERRORS
    credentials: Mapping[str, str] = field(default_factory=lambda: KEY_AND_SECRET)
    client_id_length: int = 32
    order_life: timedelta = timedelta(seconds=5)
    read_lag: float = 0.5
    unique_ids: bool = True
    in_turn: bool = False
    stops: bool = False
    streams: Streamed = field(default_factory=Streamed)
    unknown_key: frozenset[str] = frozenset()
    about_us: frozenset[str] = frozenset()
    by_hand: Mapping[Setting, str] = field(default_factory=dict)
