"""A first configuration, written from the settings themselves: what must be set is set, all else stands as a comment.

Each option says what it means and what holds without it, in the words of the model, so that the file can't fall behind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keeper.settings.addresses import SECRETS
from keeper.settings.schema import Known, known_keys

WIDTH = 120
SYMBOL = "BTC/USDT:USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """One kind of first configuration. intro: its first lines; values: TOML by dotted key, NAME in place of names.

    feed: the kind whose keys it shows; leaves_out: beginnings of keys that have no use in it; names: what NAME is, by the
    table it stands in.
    """

    intro: tuple[str, ...]
    values: Mapping[str, str]
    feed: str
    leaves_out: tuple[str, ...]
    names: Mapping[str, str]


_FUND = {
    "funds.NAME.venue": '"{venue}"',
    "funds.NAME.target.NAME": "3",
    "funds.NAME.schedule.at": '"00:15"',
    "funds.NAME.emergency.max_leverage": "4",
}
_BY_MARKET = ("target", "min", "max")
STARTERS = {
    "paper": Starter(
        intro=(
            "A fund on a paper exchange with a generated market: no keys, no network.",
            "keeper plan, keeper rebalance once, keeper run to leave it running.",
        ),
        values={
            "venues.NAME.exchange": '"paper"',
            "venues.NAME.feed.kind": '"synthetic"',
            "venues.NAME.feed.prices.NAME": '"60000"',
            "venues.NAME.feed.markets.NAME.tick": '"0.1"',
            "venues.NAME.feed.markets.NAME.lot": '"0.001"',
            "venues.NAME.feed.markets.NAME.taker_bps": "5",
            "venues.NAME.feed.markets.NAME.maker_bps": "2",
            "venues.NAME.account.balances.NAME": '"100000"',
            **_FUND,
        },
        feed="synthetic",
        leaves_out=(
            "venues.NAME.credentials",
            "venues.NAME.hosts",
            "venues.NAME.market_data",
            "venues.NAME.environment",
            "funds.NAME.assets",
        ),
        names={
            "venues": "sim",
            "funds": "btc3l",
            "balances": "USDT",
            **dict.fromkeys(("prices", "markets", *_BY_MARKET), SYMBOL),
        },
    ),
    "binanceusdm": Starter(
        intro=(
            "A 3x Bitcoin fund on the testnet of Binance's USD-M futures.",
            "Write the halves of an API key that may trade and may not withdraw into two files of mode 600:",
            "  mkdir -m 700 secrets && (umask 077; cat > secrets/api_key; cat > secrets/secret)",
            "keeper plan, keeper rebalance once, keeper run to leave it running.",
        ),
        values={
            "venues.NAME.exchange": '"binanceusdm"',
            "venues.NAME.environment": '"testnet"',
            "venues.NAME.credentials.api_key_file": '"secrets/api_key"',
            "venues.NAME.credentials.secret_file": '"secrets/secret"',
            **_FUND,
        },
        feed="synthetic",
        leaves_out=(
            "venues.NAME.feed",
            "venues.NAME.account",
            "venues.NAME.hosts",
            "venues.NAME.credentials.passphrase",
            "venues.NAME.credentials.wallet_address",
            "venues.NAME.credentials.private_key",
            "funds.NAME.assets",
        ),
        names={"venues": "binance", "funds": "btc3l", **dict.fromkeys(_BY_MARKET, SYMBOL)},
    ),
}
_ENVIRONMENT_ONLY = tuple(f"venues.NAME.credentials.{part}" for part in SECRETS)


def starter(kind: str) -> str:
    """The file for one of STARTERS, as text. KeyError for another kind."""
    chosen = STARTERS[kind]
    lines = [f"# {line}" for line in chosen.intro]
    lines += [
        "#",
        "# Lines that begin with # are options with what holds without them. Any of them may stand in the environment",
        "# instead:",
    ]
    lines[-1] += " KEEPER__FUNDS__BTC3L__LIMITS__MAX_LEVERAGE=4"
    table = ""
    for known in _wanted(chosen):
        parent, name = _place(known.key, chosen)
        if parent != table:
            table = parent
            lines += ["", f"[{table}]"]
        lines += _line(name, known, chosen)
    return "\n".join(lines) + "\n"


def _wanted(chosen: Starter) -> Iterator[Known]:
    """The keys that go into the file, tables kept together."""
    keys = [
        known
        for known in known_keys(chosen.feed)
        if known.key not in _ENVIRONMENT_ONLY and not known.key.startswith(chosen.leaves_out)
        if known.key in chosen.values or not _needs_a_name(known.key, chosen)
    ]
    parents = list(dict.fromkeys(known.key.rpartition(".")[0] for known in keys))
    # the keys of a table must stand before the tables below it
    for parent in sorted(parents, key=lambda parent: [parents.index(p) for p in parents if parent.startswith(p)]):
        yield from (known for known in keys if known.key.rpartition(".")[0] == parent)


def _needs_a_name(key: str, chosen: Starter) -> bool:
    """Whether a NAME in ``key`` stands in a table for which there is no example name."""
    parts = key.split(".")
    return any(part == "NAME" and parts[index - 1] not in chosen.names for index, part in enumerate(parts))


def _place(key: str, chosen: Starter) -> tuple[str, str]:
    """The table and the key as they are written, with example names."""
    parts = key.split(".")
    named = [_quoted(chosen.names[parts[index - 1]]) if part == "NAME" else part for index, part in enumerate(parts)]
    return ".".join(named[:-1]), named[-1]


def _quoted(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f'"{name}"'


def _line(name: str, known: Known, chosen: Starter) -> list[str]:
    value = chosen.values.get(known.key)
    if value is not None:
        setting = f"{name} = {value.format(venue=chosen.names['venues'])}"
    elif known.default is None:
        setting = f"# {name} ="
    else:
        setting = f"# {name} = {_literal(known.default)}"
    line = f"{setting:<40} # {known.description}"
    return [line] if len(line) <= WIDTH else [f"# {known.description}", setting]


def _literal(default: str) -> str:
    plain = default.replace(".", "", 1).isdigit() or default in ("true", "false")
    return default if plain else f'"{default}"'
