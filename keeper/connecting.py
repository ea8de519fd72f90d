"""Venues as a configuration names them: from a venue's section to whatever trades there, paper included."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keeper.domain.account import Account, Position
from keeper.domain.errors import ConfigError, Problem
from keeper.journal.database import directory_of
from keeper.ports import Environment, Venue, VenueInfo
from keeper.replay import opened
from keeper.settings.addresses import PAPER
from keeper.settings.feeds import AccountSettings, CcxtFeed, Feed, FixedFeed, MarketSettings, RecordedFeed, SyntheticFeed
from keeper.settings.keys import Path, dotted
from keeper.settings.secrets import account_fingerprint, credentials_of
from keeper.settings.sections import MarketDataSource, VenueSettings
from keeper.settings.sources import UNWRITTEN, Settings
from keeper.system import SystemClock

if TYPE_CHECKING:
    from keeper.venues.access import Exchanges
    from keeper.venues.feeds import feed as feeds
    from keeper.venues.feeds import public
    from keeper.venues.feeds.market_spec import MarketSpec

ORDER_TTL = 5.0


class Venues:
    """Makes the venues of one process, which share what they may of the exchanges that they reach."""

    def __init__(self, settings: Settings) -> None:
        from keeper.venues.access import Exchanges

        self._settings = settings
        self._exchanges = Exchanges(SystemClock())

    def made(self, name: str, *, daily: bool = False, examined: bool = False) -> Venue:
        """The venue ``name``, not connected. daily: for a daemon, for which prices that stand still do so in real time.

        examined: it may be unfit to be traded, and is not. ConfigError when it can't be made as configured.
        """
        account = account_fingerprint(name, self._settings.venue(name))
        if self._settings.venues[name].exchange == PAPER:
            return _paper(self._settings, name, account, self._exchanges, daily=daily)
        return _real(self._settings, name, account, self._exchanges, examined=examined)


def unfit(settings: Settings, name: str) -> list[Problem]:
    """Why the venue ``name``, of an exchange, could not be connected to as it is configured; nothing is asked.

    Its keys are judged where a fund trades there: elsewhere there need be none.
    """
    from keeper.venues.admissible import admissible, must_be_whole, must_have_form

    venue = settings.venues[name]
    try:
        row = admissible(name, venue.exchange, venue.environment, streamed=_is_streamed(venue))
        if any(fund.venue == name for fund in settings.funds.values()):
            credentials = _credentials(name, venue)
            must_be_whole(name, row, credentials)
            must_have_form(name, row, credentials)
    except ConfigError as error:
        return [_placed(settings, one) for one in error.problems]
    return []


def _placed(settings: Settings, found: Problem) -> Problem:
    """``found`` with the place where its key, or else the nearest table around it, is written."""
    path = tuple(found.key.split("."))
    places = (settings.source(path[:length]) for length in range(len(path), 0, -1))
    return replace(found, source=next((place for place in places if place != UNWRITTEN), found.source))


def _is_streamed(venue: VenueSettings) -> bool:
    return venue.market_data is MarketDataSource.STREAM


def _credentials(name: str, venue: VenueSettings) -> dict[str, str]:
    return {part: held.get_secret_value() for part, held in credentials_of(name, venue).items()}


async def _nothing() -> None:
    """There is nothing to warm up."""


def warming(venue: Venue) -> Callable[[], Awaitable[None]]:
    """What opens the connections of ``venue`` shortly before they are needed."""
    from keeper.venues.connection import Connection

    return venue.warm if isinstance(venue, Connection) else _nothing


def owns_its_clock(venue: VenueSettings, *, daily: bool = False) -> bool:
    """Whether time at the venue is made by its feed. Such a clock does not see threads, so nothing may run in one.

    daily: for a daemon, for which prices that stand still do so in real time.
    """
    fast = isinstance(venue.feed, SyntheticFeed) and venue.feed.speed is not None
    return fast or isinstance(venue.feed, RecordedFeed) or (isinstance(venue.feed, FixedFeed) and not daily)


def _real(settings: Settings, name: str, account: str, exchanges: "Exchanges", *, examined: bool) -> Venue:
    venue = settings.venues[name]
    from keeper.venues.ccxt_venue import CcxtVenue, ExaminedVenue
    from keeper.venues.dialects import dialect_of

    row = dialect_of(name, venue.exchange, venue.environment)
    info = VenueInfo(
        name=name,
        exchange=venue.exchange,
        environment=venue.environment,
        account=account,
        read_lag=row.read_lag,
        order_ttl=row.order_life.total_seconds(),
        client_id_length=row.client_id_length,
        stops=row.stops,
    )
    return (ExaminedVenue if examined else CcxtVenue)(
        info,
        credentials=_credentials(name, venue),
        hosts=venue.hosts,
        clock=SystemClock(),
        exchanges=exchanges,
        streamed=_is_streamed(venue),
    )


def _paper(settings: Settings, name: str, account: str, exchanges: "Exchanges", *, daily: bool) -> Venue:
    from keeper.venues.feeds.recorded import RecordedFeed as RecordedMarket
    from keeper.venues.paper.matching import REFILL_HALF_LIFE
    from keeper.venues.paper.persistence import PaperStore
    from keeper.venues.paper.venue import LATENCY, PaperVenue

    feed, holdings = settings.venues[name].feed, settings.venues[name].account
    if feed is None or holdings is None:
        raise ConfigError(problem(settings, ("venues", name, "feed"), "(unset)", "a paper venue needs a feed and an account"))
    info = VenueInfo(
        name=name,
        exchange=PAPER,
        environment=Environment.PAPER,
        account=account,
        read_lag=0.0,
        order_ttl=ORDER_TTL,
        stops=True,
    )
    identity = feed.model_dump_json(exclude={"speed"})
    store = PaperStore(
        directory_of(settings.journal_url) / f"paper-{name}.json",
        f"{identity} {holdings.model_dump_json()}",
    )
    try:
        made = _feed(settings, name, feed, exchanges, daily=daily)
    except ValueError as error:
        raise ConfigError(problem(settings, ("venues", name, "feed"), feed.kind, str(error))) from error
    # an answer of a real exchange is late by itself
    late = isinstance(feed, SyntheticFeed | RecordedFeed)
    return PaperVenue(
        info,
        made,
        _start(holdings, made.clock.now()),
        store=store,
        borrow=holdings.may_borrow,
        latency=LATENCY if late else timedelta(0),
        refill=made.refill if isinstance(made, RecordedMarket) else REFILL_HALF_LIFE,
        seed=feed.seed if isinstance(feed, SyntheticFeed | RecordedFeed) else 0,
    )


def _feed(settings: Settings, name: str, feed: Feed, exchanges: "Exchanges", *, daily: bool) -> "feeds.Feed":
    from keeper.venues.feeds import fixed, synthetic
    from keeper.venues.paper.clock import AcceleratedClock

    now = SystemClock().now()
    match feed:
        case FixedFeed():
            depth = None if feed.depth == "unlimited" else feed.depth
            markets = _specs(feed.markets)
            return fixed.FixedFeed(
                feed.prices,
                start=now,
                spread_bps=feed.spread_bps,
                depth=depth,
                markets=markets,
                clock=SystemClock() if daily else None,
            )
        case SyntheticFeed():
            return synthetic.SyntheticFeed(
                feed.prices,
                clock=SystemClock() if feed.speed is None else AcceleratedClock(now, float(feed.speed)),
                start=now,
                seed=feed.seed,
                volatility=feed.volatility,
                spread_bps=feed.spread_bps,
                daily_volume=feed.daily_volume,
                markets=_specs(feed.markets),
            )
        case RecordedFeed():
            return opened(settings, name, feed)
        case CcxtFeed():
            return _public(settings, name, feed, exchanges)


def _specs(markets: Mapping[str, MarketSettings]) -> "dict[str, MarketSpec]":
    from keeper.venues.feeds.market_spec import MarketSpec

    return {symbol: MarketSpec(**dict(rules)) for symbol, rules in markets.items()}


def _public(settings: Settings, name: str, feed: CcxtFeed, exchanges: "Exchanges") -> "public.PublicFeed":
    """The public market of a real exchange, for what the venue's funds hold and want. ConfigError for one without a dialect."""
    from keeper.venues.dialects import DIALECTS
    from keeper.venues.feeds.public import PublicFeed
    from keeper.venues.public_data import PublicData

    if feed.exchange not in DIALECTS:
        remedy = f"public data is read from {', '.join(sorted(DIALECTS))}"
        raise ConfigError(problem(settings, ("venues", name, "feed", "exchange"), feed.exchange, remedy))
    clock = SystemClock()
    data = PublicData(f"{name}.feed", feed.exchange, Environment.LIVE, hosts=feed.hosts, clock=clock, exchanges=exchanges)
    funds = [fund for fund in settings.funds.values() if fund.venue == name]
    holdings = settings.venues[name].account
    symbols = [symbol for fund in funds for symbol in (*fund.target, *fund.kept_symbols())]
    return PublicFeed(data, tuple(dict.fromkeys((*symbols, *(holdings.positions if holdings else ())))))


def problem(settings: Settings, path: Path, value: str, remedy: str) -> Problem:
    """What is wrong with the value of a key, and where that is written."""
    return Problem(settings.source(path), dotted(path), value, remedy)


def _start(holdings: AccountSettings, now: datetime) -> Account:
    positions = {
        symbol: Position(symbol=symbol, contracts=held.contracts, entry=held.entry, mark=held.entry)
        for symbol, held in holdings.positions.items()
    }
    return Account(balances=dict(holdings.balances), positions=positions, at=now)
